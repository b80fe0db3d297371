// Contiguous work, which the strided entry hands on where it can.
#pragma once

#include "dispatch.h"

namespace thinout {

constexpr int64_t kElementBytes[kNumTypes] = {4, 8, 2, 2, 1};

// Whether an output is to be stored around the caches: it pays once it would not fit into the last one anyway.
static inline bool bypasses_cache(const void* x, const void* y, int64_t n, int type) {
  return x != y && n * kElementBytes[type] >= (int64_t{24} << 20);
}

void run_flat(const Stream& stream, const void* x, void* y, int64_t n, int type, int64_t first, int num_threads);

}  // namespace thinout
