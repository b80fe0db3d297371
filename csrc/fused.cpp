// The C ABI of the fused form.
#include "arguments.h"
#include "dispatch.h"
#include "flat.h"
#include "memory.h"
#include "parallel.h"

using namespace thinout;

extern "C" int thinout_dropout_add(const void* x, const void* residual, void* y, int64_t n, int dtype,
                                   int64_t first_index, uint64_t key, uint64_t offset, uint64_t threshold, int wide,
                                   double scale, int num_threads) {
  if (dtype < 0 || dtype >= kMask) return THINOUT_BAD_DTYPE;
  if (const int status = check_range(n, first_index, threshold, wide)) return status;
  if (n > 0 && (!x || !residual || !y)) return THINOUT_BAD_POINTER;
  const Stream stream = make_stream(key, offset, threshold, wide, scale);
  const int64_t bytes = kElementBytes[dtype];
  prepare_output(x, y, n * bytes);
  parallel((n + kBlockElements - 1) / kBlockElements, n, num_threads, [&](int64_t begin, int64_t end) {
    const int64_t at = begin * kBlockElements, stop = end * kBlockElements < n ? end * kBlockElements : n;
    const void* in[] = {static_cast<const char*>(x) + at * bytes, static_cast<const char*>(residual) + at * bytes};
    kernels().dropout_add[dtype](stream, in, static_cast<char*>(y) + at * bytes, stop - at,
                                 static_cast<uint64_t>(first_index + at));
  });
  return THINOUT_OK;
}
