// What large outputs need of the memory system.
#pragma once

#include <cstdint>

#ifdef __linux__
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace thinout {
namespace {

// Storing around the caches pays once the output would not fit into the last one anyway.
inline bool bypasses_cache(const void* x, const void* y, int64_t bytes) {
  return x != y && bytes >= (int64_t{24} << 20);
}

// Whether an input and an output of so many bytes reach beyond the caches that a core has for itself.
inline bool is_far(int64_t bytes) { return bytes >= (int64_t{6} << 20); }

// A large fresh output costs far more in page faults, one for every 4 KiB, than in arithmetic. Where the kernel gives
// huge pages on request (its usual setting), ask. Memory that has been touched already, which one page in the middle
// tells, is left as it is; so is everything when the request fails.
inline void prepare_output(const void* x, void* y, int64_t bytes) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  if (x == y || bytes < (int64_t{4} << 20)) return;
  const uintptr_t page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE)), start = reinterpret_cast<uintptr_t>(y);
  const uintptr_t begin = (start + page - 1) / page * page, end = (start + static_cast<uintptr_t>(bytes)) / page * page;
  unsigned char resident = 0;
  void* middle = reinterpret_cast<void*>((begin + end) / 2 / page * page);
  if (mincore(middle, page, &resident) == 0 && !(resident & 1)) {
    madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
  }
#else
  (void)x;
  (void)y;
  (void)bytes;
#endif
}

}  // namespace
}  // namespace thinout
