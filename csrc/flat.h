// Contiguous work, which the strided entry hands on where it can.
#pragma once

#include "dispatch.h"

namespace thinout {

constexpr int64_t kElementBytes[kNumTypes] = {4, 8, 2, 2, 1};

void run_flat(const Stream& stream, const void* x, void* y, int64_t n, int type, int64_t first, int num_threads);

}  // namespace thinout
