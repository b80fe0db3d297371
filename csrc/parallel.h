// Threads: torch's own OpenMP pool, and none for work that is over before a pool has woken up.
#pragma once

#include <cstdint>

#ifdef _OPENMP
#include <omp.h>
#endif

namespace thinout {
namespace {

constexpr int64_t kBlockElements = 4096;        // what a thread takes at least
constexpr int64_t kSerialElements = 16 * 1024;  // fewer than this: one thread

// Calls work(begin, end) on ranges that together are [0, num_tasks).
template <class Work>
void parallel(int64_t num_tasks, int64_t num_elements, int num_threads, const Work& work) {
#ifdef _OPENMP
  if (num_threads > 1 && num_tasks > 1 && num_elements >= kSerialElements) {
#pragma omp parallel num_threads(num_threads)
    {
      const int64_t count = omp_get_num_threads(), rank = omp_get_thread_num();
      const int64_t share = num_tasks / count, extra = num_tasks % count;
      const int64_t begin = rank * share + (rank < extra ? rank : extra);
      const int64_t end = begin + share + (rank < extra ? 1 : 0);
      if (begin < end) work(begin, end);
    }
    return;
  }
#endif
  (void)num_threads;
  (void)num_elements;
  if (num_tasks > 0) work(0, num_tasks);
}

}  // namespace
}  // namespace thinout
