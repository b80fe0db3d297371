// The loops for pieces of memory at even steps that share decisions: one decision for a whole piece, or the same
// decisions for every piece.
#pragma once

#include "kernel.h"

namespace thinout {
namespace {

// All elements by one decision, without a branch on it; n is a vector at least. The last vector may overlap the one
// before, and is read before that is written, since it may be in place.
template <class I, class T, bool bypass_cache>
THINOUT_INLINE void row(const Select<I, T, bypass_cache>& op, const typename I::Keep& keep, const T* x, T* y,
                        int64_t n) {
  using P = typename I::template Pack<T>;
  const auto vector = [&](int64_t at) {
    typename P::Packed inputs[1];
    if constexpr (op.kInputs > 0) inputs[0] = P::load(x + at);
    return op.vector(inputs, keep, 0);
  };
  const int64_t last = n - P::kLanes;
  int64_t i = 0;
  for (; i + 4 * P::kLanes <= last; i += 4 * P::kLanes) {  // fewer turns: the end of a long loop is not foreseen
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) P::template store<bypass_cache>(y + i + k * P::kLanes, vector(i + k * P::kLanes));
  }
  for (; i + P::kLanes <= last; i += P::kLanes) P::template store<bypass_cache>(y + i, vector(i));
  const auto end = vector(last);
  if (i < last) P::template store<bypass_cache>(y + i, vector(i));
  P::template store<bypass_cache>(y + last, end);
}

template <class I, class T, bool bypass_cache>
THINOUT_INLINE void zero_row(T* y, int64_t n) {
  using P = typename I::template Pack<T>;
  const int64_t last = n - P::kLanes;
  int64_t i = 0;
  for (; i + 4 * P::kLanes <= last; i += 4 * P::kLanes) {
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) P::template store<bypass_cache>(y + i + k * P::kLanes, typename P::Packed{});
  }
  for (; i < last; i += P::kLanes) P::template store<bypass_cache>(y + i, typename P::Packed{});
  P::template store<bypass_cache>(y + last, typename P::Packed{});
}

template <class T>
constexpr int64_t kReadAnyway = 512 / sizeof(T);  // elements that cost less to read than a wrong guess

template <class I, class T, bool bypass_cache>
THINOUT_INLINE void rows_by(const uint64_t* bits, int64_t bit, const Series& series,
                            const Select<I, T, bypass_cache> op) {
  const Series s = series;
  typename I::Keep keeps[2];
  I::expand(0, keeps[0]);
  I::expand(~uint64_t{0}, keeps[1]);
  const T* x = static_cast<const T*>(s.x);  // null for a mask, whose steps are 0
  T* y = static_cast<T*>(s.y);
  for (int64_t r = 0; r < s.count; r += 64, x += 64 * s.x_step, y += 64 * s.y_step) {
    const int64_t count = s.count - r < 64 ? s.count - r : 64;
    const uint64_t keep = bits_from(bits, bit + r);
    if (s.n < I::template Pack<T>::kLanes) {
      for (int64_t i = 0; i < count; ++i) {
        make_select(op, x + i * s.x_step, y + i * s.y_step).part(keeps[keep >> i & 1], 0, 0, static_cast<int>(s.n));
      }
      continue;
    }
    if (s.n <= kReadAnyway<T>) {
      for (int64_t i = 0; i < count; ++i) {
        row<I>(op, keeps[keep >> i & 1], x + i * s.x_step, y + i * s.y_step, s.n);
      }
      continue;
    }
    for (int64_t i = 0; i < count; ++i) {
      if (keep >> i & 1)
        row<I>(op, keeps[1], x + i * s.x_step, y + i * s.y_step, s.n);
      else
        zero_row<I, T, bypass_cache>(y + i * s.y_step, s.n);
    }
  }
}

// Piece i by the decision `bit + i`.
template <class I, class T>
void rows(const uint64_t* bits, int64_t bit, const Series& s, double scale, bool bypass_cache) {
  const Select<I, T, false> through{static_cast<decltype(through.scale)>(scale)};
  const Select<I, T, true> around{through.scale};
  if (bypass_cache && aligned(s.y, 0) && s.y_step * sizeof(T) % 64 == 0 && s.n * sizeof(T) % 64 == 0)
    rows_by<I, T>(bits, bit, s, around);
  else
    rows_by<I, T>(bits, bit, s, through);
}

// Element i of every piece by the decision `bit + i`.
template <class I, class T>
void repeat(const uint64_t* bits, int64_t bit, const Series& s, double scale, bool bypass_cache) {
  const Select<I, T, false> through{static_cast<decltype(through.scale)>(scale)};
  const Select<I, T, true> around{through.scale};
  for (int64_t r = 0; r < s.count; ++r) {
    const T* x = static_cast<const T*>(s.x) + r * s.x_step;
    T* y = static_cast<T*>(s.y) + r * s.y_step;
    if (bypass_cache && aligned(y, 0))
      select_run<I>(bits, bit, 0, s.n, make_select(around, x, y));
    else
      select_run<I>(bits, bit, 0, s.n, make_select(through, x, y));
  }
}

}  // namespace
}  // namespace thinout
