// The C ABI of the fused forms: rows of contiguous memory, in pieces.
#include "arguments.h"
#include "flat.h"
#include "memory.h"
#include "parallel.h"

namespace thinout {
namespace {

struct Rows {
  int64_t rows, cols;
  int num_inputs;
  const void* in[3];
  bool is_row[3];  // the input is one row for all (a bias)
  void* y;
  int type, activation;
};

bool any_null(const Rows& work) {
  for (int k = 0; k < work.num_inputs; ++k) {
    if (!work.in[k]) return true;
  }
  return !work.y;
}

void run_rows(const Stream& stream, const Rows& work, Kernels::Fused kernel, int64_t first_index, int num_threads) {
  const int64_t bytes = kElementBytes[work.type], pieces = (work.cols + kBlockElements - 1) / kBlockElements;
  prepare_output(work.in[0], work.y, work.rows * work.cols * bytes);
  parallel(work.rows * pieces, work.rows * work.cols, num_threads, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t column = i % pieces * kBlockElements, at = i / pieces * work.cols + column;
      const int64_t n = work.cols - column < kBlockElements ? work.cols - column : kBlockElements;
      const void* in[3];
      for (int k = 0; k < work.num_inputs; ++k) {
        in[k] = static_cast<const char*>(work.in[k]) + (work.is_row[k] ? column : at) * bytes;
      }
      char* y = static_cast<char*>(work.y) + at * bytes;
      kernel(stream, in, y, n, static_cast<uint64_t>(first_index + at), work.activation);
    }
  });
}

int check_rows(const Rows& work, int64_t first_index, uint64_t threshold, int wide) {
  int64_t n;
  if (work.type < 0 || work.type >= kMask) return THINOUT_BAD_DTYPE;
  if (work.activation < 0 || work.activation >= kNumActivations) return THINOUT_BAD_ACTIVATION;
  if (work.rows < 0 || work.cols < 0 || __builtin_mul_overflow(work.rows, work.cols, &n)) return THINOUT_BAD_SIZE;
  if (const int status = check_range(n, first_index, threshold, wide)) return status;
  return n > 0 && any_null(work) ? THINOUT_BAD_POINTER : THINOUT_OK;
}

}  // namespace
}  // namespace thinout

using namespace thinout;

extern "C" {

int thinout_dropout_add(const void* x, const void* residual, void* y, int64_t n, int dtype, int64_t first_index,
                        uint64_t key, uint64_t offset, uint64_t threshold, int wide, double scale, int num_threads) {
  const Rows work{1, n, 2, {x, residual}, {}, y, dtype, kNone};
  if (const int status = check_rows(work, first_index, threshold, wide)) return status;
  const Stream stream = make_stream(key, offset, threshold, wide, scale);
  run_rows(stream, work, kernels().dropout_add[dtype], first_index, num_threads);
  return THINOUT_OK;
}

int thinout_bias_act_dropout(const void* x, const void* bias, void* y, int64_t rows, int64_t cols, int dtype,
                             int activation, int64_t first_index, uint64_t key, uint64_t offset, uint64_t threshold,
                             int wide, double scale, int num_threads) {
  const Rows work{rows, cols, 2, {x, bias}, {false, true}, y, dtype, activation};
  if (const int status = check_rows(work, first_index, threshold, wide)) return status;
  const Stream stream = make_stream(key, offset, threshold, wide, scale);
  run_rows(stream, work, kernels().bias_act[dtype], first_index, num_threads);
  return THINOUT_OK;
}

int thinout_bias_act_dropout_backward(const void* grad_y, const void* x, const void* bias, void* grad_x, int64_t rows,
                                      int64_t cols, int dtype, int activation, int64_t first_index, uint64_t key,
                                      uint64_t offset, uint64_t threshold, int wide, double scale, int num_threads) {
  const Rows work{rows, cols, 3, {grad_y, x, bias}, {false, false, true}, grad_x, dtype, activation};
  if (const int status = check_rows(work, first_index, threshold, wide)) return status;
  const Stream stream = make_stream(key, offset, threshold, wide, scale);
  run_rows(stream, work, kernels().bias_act_backward[dtype], first_index, num_threads);
  return THINOUT_OK;
}

}  // extern "C"
