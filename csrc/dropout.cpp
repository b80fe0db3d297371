// The C ABI for contiguous memory: check the arguments, split into blocks, call the kernel.
#include "dropout.h"

#include "arguments.h"
#include "flat.h"
#include "memory.h"
#include "parallel.h"

namespace thinout {
void run_flat(const Stream& stream, const void* x, void* y, int64_t n, int type, int64_t first, int num_threads) {
  const auto kernel = kernels().flat[type];
  const int64_t bytes = kElementBytes[type];
  const bool bypass_cache = bypasses_cache(x, y, n * bytes);
  prepare_output(x, y, n * bytes);
  const int64_t lead = first % kBlockElements;  // blocks begin at multiples of 4096 in index space
  const int64_t num_blocks = (lead + n + kBlockElements - 1) / kBlockElements;
  parallel(num_blocks, n, num_threads, [&](int64_t begin, int64_t end) {
    const int64_t from = begin == 0 ? 0 : begin * kBlockElements - lead;
    const int64_t to = end == num_blocks ? n : end * kBlockElements - lead;
    const char* in = static_cast<const char*>(x);
    kernel(stream, in ? in + from * bytes : nullptr, static_cast<char*>(y) + from * bytes, to - from,
           static_cast<uint64_t>(first + from), bypass_cache);
  });
}

}  // namespace thinout

using namespace thinout;

extern "C" {

int thinout_abi_version(void) { return 2; }

int thinout_dropout(const void* x, void* y, int64_t n, int dtype, int64_t first_index, uint64_t key, uint64_t offset,
                    uint64_t threshold, int wide, double scale, int num_threads) {
  if (dtype < 0 || dtype >= kMask) return THINOUT_BAD_DTYPE;
  if (const int status = check_range(n, first_index, threshold, wide)) return status;
  if (n > 0 && (!x || !y)) return THINOUT_BAD_POINTER;
  run_flat(make_stream(key, offset, threshold, wide, scale), x, y, n, dtype, first_index, num_threads);
  return THINOUT_OK;
}

int thinout_mask(uint8_t* mask, int64_t n, int64_t first_index, uint64_t key, uint64_t offset, uint64_t threshold,
                 int wide, int num_threads) {
  if (const int status = check_range(n, first_index, threshold, wide)) return status;
  if (n > 0 && !mask) return THINOUT_BAD_POINTER;
  run_flat(make_stream(key, offset, threshold, wide, 1.0), nullptr, mask, n, kMask, first_index, num_threads);
  return THINOUT_OK;
}

}  // extern "C"
