// The loops for pieces of memory at even steps that share decisions: one decision for a whole piece, or the same
// decisions for every piece.
#pragma once

#include "kernel.h"

namespace thinout {
namespace {

template <class T>
THINOUT_INLINE const void* forward(const void* x, int64_t steps) {  // a mask has no input
  return x ? static_cast<const T*>(x) + steps : nullptr;
}

// All elements by one decision, without a branch. Several vectors or one part; the last vector overlaps the one before,
// and is read before that is written, since it may be in place.
template <class I, class T, class Op>
THINOUT_INLINE void row(const Apply<I, T, Op>& apply, const typename I::Keep& keep, int64_t n) {
  using P = typename I::template Pack<T>;
  if (n < P::kLanes) return apply.part(keep, 0, 0, static_cast<int>(n));
  const auto vector = [&](int64_t at) {
    typename P::Packed inputs[Op::kInputs + 1];
    if constexpr (Op::kInputs > 0) inputs[0] = P::load(apply.in[0] + at);
    return apply.op.vector(inputs, keep, 0);
  };
  const int64_t last = n - P::kLanes;
  const auto end = vector(last);
  for (int64_t i = 0; i < last; i += P::kLanes) P::template store<Op::kBypassCache>(apply.out + i, vector(i));
  P::template store<Op::kBypassCache>(apply.out + last, end);
}

template <class T>
constexpr int64_t kReadAnyway = 256 / sizeof(T);  // elements that cost less to read than to foresee

template <class I, class T, bool bypass_cache>
void rows_by(const uint64_t* bits, int64_t bit, const Series& s, const Select<I, T, bypass_cache>& op) {
  typename I::Keep keeps[2];
  I::expand(0, keeps[0]);
  I::expand(~uint64_t{0}, keeps[1]);
  const auto at = [&](int64_t r) {
    return make_select(op, forward<T>(s.x, r * s.x_step), static_cast<T*>(s.y) + r * s.y_step);
  };
  for (int64_t r = 0; r < s.count; r += 64) {
    const int64_t count = s.count - r < 64 ? s.count - r : 64;
    const uint64_t keep = bits_from(bits, bit + r);
    if (s.n <= kReadAnyway<T>) {
      for (int64_t i = 0; i < count; ++i) row<I>(at(r + i), keeps[keep >> i & 1], s.n);
      continue;
    }
    // Which rows are kept cannot be foreseen: one loop for those, one for the others.
    const uint64_t all = ~uint64_t{0} >> (64 - count);
    for (uint64_t left = keep & all; left; left &= left - 1) row<I>(at(r + __builtin_ctzll(left)), keeps[1], s.n);
    for (uint64_t left = ~keep & all; left; left &= left - 1) {
      std::memset(static_cast<T*>(s.y) + (r + __builtin_ctzll(left)) * s.y_step, 0, s.n * sizeof(T));
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
    const void* x = forward<T>(s.x, r * s.x_step);
    T* y = static_cast<T*>(s.y) + r * s.y_step;
    if (bypass_cache && aligned(y, 0))
      select_run<I>(bits, bit, s.n, make_select(around, x, y));
    else
      select_run<I>(bits, bit, s.n, make_select(through, x, y));
  }
}

}  // namespace
}  // namespace thinout
