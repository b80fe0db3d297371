// The loops, written once over an instruction set `I` (see kernel_portable.cpp for what it has to offer).
//
// Unit of work: a *word* of 64 elements whose mask index starts at a multiple of 64, so that the decisions of one word
// are 8 whole Philox blocks (16 in the wide format). `I::kWords` words are drawn at a time, to have enough independent
// multiplications in flight. Counters sit in 64-bit lanes: one 32 x 32 -> 64 bit multiplication per lane gives both
// halves of a product without a shuffle, and since it reads low halves only, high halves may hold garbage throughout.
#pragma once

#include <cstring>
#include <type_traits>

#include "bits.h"

namespace thinout {
namespace {

constexpr int kWordElements = 64;

template <class I, int G>
THINOUT_INLINE void general_round(typename I::V (&c)[4][G], uint64_t key0, uint64_t key1) {
#pragma GCC unroll 8
  for (int g = 0; g < G; ++g) {
    const auto product0 = I::mul(c[0][g], kMul0);
    const auto product1 = I::mul(c[2][g], kMul1);
    c[0][g] = I::xor3(I::high(product1), c[1][g], I::set(key0));
    c[2][g] = I::xor3(I::high(product0), c[3][g], I::set(key1));
    c[1][g] = product1;
    c[3][g] = product0;
  }
}

// Rounds on G vectors of counters, as many as the instruction set leaves to this; c[0] holds the low block words on
// entry. Low halves of c are the result.
template <class I, int G>
THINOUT_INLINE void philox(const Schedule& s, typename I::V (&c)[4][G]) {
#pragma GCC unroll 8
  for (int g = 0; g < G; ++g) {
    const auto round1 = I::mul(c[0][g], kMul0);
    const auto round2 = I::mul(I::xor2(I::high(round1), I::set(s.word2_round1)), kMul1);
    const auto word0 = I::xor2(I::high(round2), I::set(s.word0_round2));
    const auto word2 = I::xor2(round1, I::set(s.word2_round2));
    const auto product0 = I::mul(word0, kMul0);
    const auto product1 = I::mul(word2, kMul1);
    c[0][g] = I::xor3(I::high(product1), round2, I::set(s.key0[2]));
    c[1][g] = product1;
    c[2][g] = I::xor2(I::high(product0), I::set(s.word2_round3));
    c[3][g] = product0;
  }
#pragma GCC unroll 8
  for (int r = 3; r < I::kPlainRounds; ++r) general_round<I, G>(c, s.key0[r], s.key1[r]);
}

// The decisions of W words, word w starting at block block[w] (low word; the high one is in the schedule).
template <class I, bool wide, int W>
THINOUT_INLINE void draw(const Schedule& s, typename I::Limit limit, const uint32_t (&block)[W],
                         typename I::Keep (&keep)[W]) {
  constexpr int vectors = (wide ? 16 : 8) / I::kLanes;  // a word's
  constexpr int group = W * vectors < I::kGroup ? W * vectors : I::kGroup;
#pragma GCC unroll 1
  for (int v = 0; v < W * vectors; v += group) {
    typename I::V c[4][group];
#pragma GCC unroll 8
    for (int g = 0; g < group; ++g) {
      c[0][g] = I::counters(block[(v + g) / vectors] + static_cast<uint32_t>((v + g) % vectors * I::kLanes));
    }
    philox<I, group>(s, c);
#pragma GCC unroll 8
    for (int g = 0; g < group; ++g) {
      const int element = (v + g) % vectors * I::kLanes * (wide ? 4 : 8);
      I::template compare<wide>(keep[(v + g) / vectors], element, limit, s, c[0][g], c[1][g], c[2][g], c[3][g]);
    }
  }
}

// Runs an Op over memory. Op::vector makes one register of output from one of each input and the decisions.
template <class I, class T, class Op>
struct Apply {
  using P = typename I::template Pack<T>;
  Op op;
  const T* in[Op::kInputs + 1];  // one more than used: C++ has no empty array
  T* out;

  THINOUT_INLINE void word(const typename I::Keep& keep, int64_t at) const {
    if constexpr (I::kInline) {
#pragma GCC unroll 8
      for (int i = 0; i < kWordElements; i += P::kLanes) vector<Op::kBypassCache>(keep, at, i);
    } else {
      word_out_of_line(keep, at);
    }
  }

  // W words. A word is loaded before the one before it is stored: processors tell a load from the stores before it by
  // the low 12 bits of addresses, in which two allocations of one size are 64 or 128 bytes apart as a rule.
  template <int W>
  THINOUT_INLINE void words(const typename I::Keep (&keep)[W], int64_t at) const {
    constexpr int vectors = kWordElements / P::kLanes;
    if constexpr (I::kInline && vectors <= 4 && Op::kInputs == 1) {
      typename P::Packed inputs[W + 1][vectors];
      load_word(inputs[0], at);
#pragma GCC unroll 4
      for (int w = 0; w < W; ++w) {
        if (w + 1 < W) load_word(inputs[w + 1], at + (w + 1) * kWordElements);
#pragma GCC unroll 8
        for (int i = 0; i < vectors; ++i) {
          const int lane = i * P::kLanes;
          P::template store<Op::kBypassCache>(out + at + w * kWordElements + lane,
                                              op.vector(&inputs[w][i], keep[w], lane));
        }
      }
    } else {
#pragma GCC unroll 4
      for (int w = 0; w < W; ++w) word(keep[w], at + w * kWordElements);
    }
  }
  template <int vectors>
  THINOUT_INLINE void load_word(typename P::Packed (&inputs)[vectors], int64_t at) const {
#pragma GCC unroll 8
    for (int i = 0; i < vectors; ++i) inputs[i] = P::load(in[0] + at + i * P::kLanes);
  }

  // For large operations, and scalar code: inlined everywhere they would make megabytes.
  __attribute__((noinline)) void word_out_of_line(const typename I::Keep& keep, int64_t at) const {
#pragma GCC unroll 1
    for (int i = 0; i < kWordElements; i += P::kLanes) vector<Op::kBypassCache>(keep, at, i);
  }

  template <bool bypass_cache>
  THINOUT_INLINE void vector(const typename I::Keep& keep, int64_t at, int i) const {
    typename P::Packed inputs[Op::kInputs + 1];
    if constexpr (Op::kInputs > 0) {
      for (int k = 0; k < Op::kInputs; ++k) inputs[k] = P::load(in[k] + at + i);
    }
    P::template store<bypass_cache>(out + at + i, op.vector(inputs, keep, i));
  }

  // `count` < 64 elements at `at`, aligned or not, by the decisions from `skip` on.
  __attribute__((noinline)) void part(typename I::Keep keep, int skip, int64_t at, int count) const {
    if (skip) I::expand(I::collapse(keep) >> skip, keep);
    int i = 0;
#pragma GCC unroll 1
    for (; i + P::kLanes <= count; i += P::kLanes) vector<false>(keep, at, i);
    if (i == count) return;
    typename P::Packed inputs[Op::kInputs + 1];
    if constexpr (Op::kInputs > 0) {
      for (int k = 0; k < Op::kInputs; ++k) inputs[k] = P::load_part(in[k] + at + i, count - i);
    }
    P::store_part(out + at + i, op.vector(inputs, keep, i), count - i);
  }
};

// Elements [begin, end) of a contiguous array; all their blocks have the same high word.
template <class I, bool wide, class A>
void walk_segment(const Stream& stream, uint64_t first, int64_t begin, int64_t end,
                  A apply) {           // by value: else the compiler fears that stores change it
  constexpr int shift = wide ? 2 : 3;  // elements per block, log 2
  constexpr int64_t batch = I::kWords * kWordElements;
  const uint64_t start = first + static_cast<uint64_t>(begin);
  const Schedule s = make_schedule(stream, static_cast<uint32_t>(start >> (32 + shift)));
  const auto limit = I::template limit<wide>(stream.threshold);
  const int skip = static_cast<int>(start % kWordElements);
  uint32_t block = static_cast<uint32_t>((start - static_cast<uint64_t>(skip)) >> shift);
  const auto single = [&](int from, int64_t i) {
    const int64_t count = end - i < kWordElements - from ? end - i : kWordElements - from;
    typename I::Keep keep[1];
    draw<I, wide, 1>(s, limit, {block}, keep);
    if (count < kWordElements)
      apply.part(keep[0], from, i, static_cast<int>(count));
    else
      apply.word(keep[0], i);
    block += kWordElements >> shift;
    return count;
  };
  int64_t i = begin;
  if (skip) i += single(skip, i);
  for (; i + batch <= end; i += batch) {
    typename I::Keep keep[I::kWords];
    uint32_t blocks[I::kWords];
#pragma GCC unroll 4
    for (int w = 0; w < I::kWords; ++w) blocks[w] = block + static_cast<uint32_t>(w * kWordElements >> shift);
    draw<I, wide, I::kWords>(s, limit, blocks, keep);
    apply.words(keep, i);
    block += static_cast<uint32_t>(batch >> shift);
  }
  while (i < end) i += single(0, i);
}

template <class I, bool wide, class A>
void walk_all(const Stream& stream, uint64_t first, int64_t n, const A& apply) {
  constexpr uint64_t span = uint64_t{1} << (wide ? 34 : 35);  // elements that share the high block word
  for (int64_t i = 0; i < n;) {
    const uint64_t room = span - (first + static_cast<uint64_t>(i)) % span;
    const int64_t end = static_cast<uint64_t>(n - i) <= room ? n : i + static_cast<int64_t>(room);
    walk_segment<I, wide>(stream, first, i, end, apply);
    i = end;
  }
}

template <class I, class A>
void walk(const Stream& stream, uint64_t first, int64_t n, const A& apply) {
  if (stream.wide)
    walk_all<I, true>(stream, first, n, apply);
  else
    walk_all<I, false>(stream, first, n, apply);
}

// keep ? x * scale : 0; `exact`: no product of bfloat16 needs rounding.
template <class I, class T, bool bypass_cache, bool exact = false>
struct Select {
  using P = typename I::template Pack<T>;
  static constexpr int kInputs = 1;
  static constexpr bool kBypassCache = bypass_cache;
  typename P::Scalar scale;

  THINOUT_INLINE auto vector(const typename P::Packed* in, const typename I::Keep& keep, int i) const {
    const auto product = P::mul(P::unpack(in[0]), scale);
    if constexpr (exact)
      return P::select(P::pack_exact(product), keep, i);
    else
      return P::select(P::pack(product), keep, i);
  }
};

// keep ? 1 : 0
template <class I, bool bypass_cache>
struct Select<I, keep8, bypass_cache, false> {
  using P = typename I::template Pack<keep8>;
  static constexpr int kInputs = 0;
  static constexpr bool kBypassCache = bypass_cache;
  double scale;

  THINOUT_INLINE auto vector(const typename P::Packed*, const typename I::Keep& keep, int) const {
    return P::ones(keep);
  }
};

template <class I, class T, bool bypass_cache, bool exact>
Apply<I, T, Select<I, T, bypass_cache, exact>> make_select(const Select<I, T, bypass_cache, exact>& op, const void* x,
                                                           void* y) {
  return {op, {static_cast<const T*>(x)}, static_cast<T*>(y)};
}

inline bool aligned(const void* y, uint64_t bytes) { return (reinterpret_cast<uintptr_t>(y) + bytes) % 64 == 0; }

template <class I, class T, bool exact>
void flat_scaled(const Stream& stream, const void* x, void* y, int64_t n, uint64_t first, bool bypass_cache) {
  const uint64_t head = (kWordElements - first % kWordElements) % kWordElements;  // elements before a whole word
  const Select<I, T, false, exact> through{static_cast<decltype(through.scale)>(stream.scale)};
  const Select<I, T, true, exact> around{through.scale};
  if (!bypass_cache || !aligned(y, head * sizeof(T))) return walk<I>(stream, first, n, make_select(through, x, y));
  walk<I>(stream, first, n, make_select(around, x, y));
  I::fence();
}

// Whether it is a power of two that makes nothing smaller, as at p = 0.5.
inline bool scales_exactly(double scale) {
  uint64_t bits;
  std::memcpy(&bits, &scale, sizeof bits);
  return scale >= 1 && bits << 12 == 0;
}

template <class I, class T>
void flat(const Stream& stream, const void* x, void* y, int64_t n, uint64_t first, bool bypass_cache) {
  if constexpr (I::kInline && std::is_same_v<T, bfloat16>) {
    if (scales_exactly(stream.scale)) return flat_scaled<I, T, true>(stream, x, y, n, first, bypass_cache);
  }
  flat_scaled<I, T, false>(stream, x, y, n, first, bypass_cache);
}

// Words that are written and drawn in turn: as few as the flat loop takes, so that the processor overlaps the two.
constexpr int64_t kTurn = 4;

// Takes the next words: their blocks; false where the upper halves of these are not all those of the schedule.
template <int blocks_per_word, int W>
THINOUT_INLINE bool take(Drawing& d, int count, uint32_t (&block)[W], uint64_t (&high)[W]) {
  bool same = true;
  for (int w = 0; w < count; ++w) {
    const uint64_t full = (d.range->word + static_cast<uint64_t>(d.at)) * blocks_per_word;
    block[w] = static_cast<uint32_t>(full);
    high[w] = full >> 32;
    same &= high[w] == d.high;
    if (++d.at < d.range->count) continue;
    d.at = 0;
    ++d.range;
  }
  return same;
}

template <class I, bool wide>
__attribute__((noinline)) void draw_some(Drawing& d, int64_t num_words) {
  constexpr int blocks_per_word = wide ? 16 : 8;
  const auto limit = I::template limit<wide>(d.stream->threshold);
  const int64_t total = num_words < d.left ? num_words : d.left;
  for (int64_t i = 0; i < total; i += I::kWords) {
    const int count = total - i < I::kWords ? static_cast<int>(total - i) : I::kWords;
    uint32_t block[I::kWords] = {};
    uint64_t high[I::kWords];
    if (take<blocks_per_word>(d, count, block, high)) {
      typename I::Keep keep[I::kWords];
      draw<I, wide, I::kWords>(d.schedule, limit, block, keep);
      for (int w = 0; w < count; ++w) d.bits[w] = I::collapse(keep[w]);
    } else {
      for (int w = 0; w < count; ++w) {
        if (high[w] != d.high) d.schedule = make_schedule(*d.stream, static_cast<uint32_t>(high[w]));
        d.high = high[w];
        typename I::Keep keep[1];
        draw<I, wide, 1>(d.schedule, limit, {block[w]}, keep);
        d.bits[w] = I::collapse(keep[0]);
      }
    }
    d.bits += count;
  }
  d.left -= total;
}

template <class I>
void bits(Drawing& d) {
  if (d.left) (d.stream->wide ? draw_some<I, true> : draw_some<I, false>)(d, d.left);
}

template <class I, class A, class Bits>
THINOUT_INLINE void select_words(int64_t begin, int64_t end, const A& apply, const Bits& bits_at) {
  typename I::Keep keep;
  int64_t i = begin;
  for (; i + kWordElements <= end; i += kWordElements) {
    I::expand(bits_at(i), keep);
    apply.word(keep, i);
    asm volatile("" ::: "memory");  // GCC 12 stores the last word of a loop twice without
  }
  if (i == end) return;
  I::expand(bits_at(i), keep);
  apply.part(keep, 0, i, static_cast<int>(end - i));
}

// Elements [begin, end), whole words from element 0 on, by the decisions from `bit` on, which is element 0's.
template <class I, class A>
THINOUT_INLINE void select_run(const uint64_t* bits, int64_t bit, int64_t begin, int64_t end, const A& apply) {
  if (bit % 64 == 0)
    select_words<I>(begin, end, apply, [word = bits + bit / 64](int64_t i) { return word[i / 64]; });
  else
    select_words<I>(begin, end, apply, [=](int64_t i) { return bits_from(bits, bit + i); });
}

template <bool output>
THINOUT_INLINE void fetch(const void* memory, int64_t bytes) {
  for (int64_t b = 0; b < bytes; b += 64) __builtin_prefetch(static_cast<const char*>(memory) + b, output, 3);
}

template <class I, class T>
THINOUT_INLINE void fetch(const Writing& w, const Run& run) {
  const int64_t bytes = run.n * int64_t{sizeof(T)};
  if (run.x) fetch<false>(run.x, bytes);
  if (run.x != run.y && !w.bypass_cache) fetch<true>(run.y, bytes);
}

template <class I, class T>
void runs(const Writing& writing) {
  const Writing w = writing;  // a copy: else the compiler fears that stores change it
  const Select<I, T, false> through{static_cast<decltype(through.scale)>(w.scale)};
  const Select<I, T, true> around{through.scale};
  const int64_t fetched = w.ahead ? w.count - w.ahead : 0;
  int64_t room = kTurn;  // words to write before the next are drawn
  for (int64_t r = 0; r < w.count; ++r) {
    if (r < fetched) fetch<I, T>(w, w.runs[r + w.ahead]);
    const Run& run = w.runs[r];
    const bool bypass_cache = w.bypass_cache && aligned(run.y, 0);
    for (int64_t i = 0; i < run.n;) {
      const int64_t end = at_most(run.n, i + room * kWordElements);
      if (bypass_cache)
        select_run<I>(w.bits, run.bit, i, end, make_select(around, run.x, run.y));
      else
        select_run<I>(w.bits, run.bit, i, end, make_select(through, run.x, run.y));
      room -= words_for(end - i);
      i = end;
      if (room > 0) continue;
      room = kTurn;
      if (w.next.left) (w.next.stream->wide ? draw_some<I, true> : draw_some<I, false>)(w.next, kTurn);
    }
  }
}

template <class I>
void transpose(const uint64_t* bits, const int64_t* start, int64_t shift, int64_t width, uint64_t* out,
               int64_t stride) {
  uint64_t square[64];
  for (int64_t k = 0; k < width; ++k) square[k] = bits_from(bits, start[k] + shift);
  for (int64_t k = width; k < 64; ++k) square[k] = 0;
  I::transpose(square);
  for (int64_t r = 0; r < 64; ++r) out[r * stride] = square[r];
}

template <class I>
void transpose_words(const uint64_t* before, const uint64_t* word, const uint8_t* shift, int64_t columns, uint64_t* out,
                     int64_t stride) {
  for (int64_t k = 0; k < columns; k += 64) {
    uint64_t square[64];
    for (int64_t i = k; i < k + 64; ++i) square[i - k] = before[i] >> shift[i] | word[i] << 1 << (63 - shift[i]);
    I::transpose(square);
    for (int64_t r = 0; r < 64; ++r) out[k / 64 + r * stride] = square[r];
  }
}

template <class I>
void interleave(const uint64_t* bits, const int64_t* start, int64_t shift, int64_t width, uint64_t* out) {
  uint64_t column[8] = {};
  for (int64_t k = 0; k < width; ++k) column[k] = bits_from(bits, start[k] + shift);
  I::interleave(column, static_cast<int>(width), out);
}

// Pack<T>::load_part and store_part for instruction sets without masked memory access: through a buffer.
template <class P, class T>
struct Partial {
  static THINOUT_INLINE auto load_part(const T* x, int count) {
    alignas(64) T buffer[P::kLanes] = {};
    std::memcpy(buffer, x, static_cast<size_t>(count) * sizeof(T));
    return P::load(buffer);
  }
  template <class V>
  static THINOUT_INLINE void store_part(T* y, const V& a, int count) {
    alignas(64) T buffer[P::kLanes];
    P::template store<false>(buffer, a);
    std::memcpy(y, buffer, static_cast<size_t>(count) * sizeof(T));
  }
};

}  // namespace
}  // namespace thinout
