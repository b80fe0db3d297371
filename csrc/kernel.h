// The loops, written once over an instruction set `I` (see kernel_portable.cpp for what it has to offer).
//
// Unit of work: a *word* of 64 elements whose mask index starts at a multiple of 64, so that the decisions of one word
// are 8 whole Philox blocks (16 in the wide format). `I::kWords` words are drawn at a time, to have enough independent
// multiplications in flight. Counters sit in 64-bit lanes: one 32 x 32 -> 64 bit multiplication per lane gives both
// halves of a product without a shuffle, and since it reads low halves only, high halves may hold garbage throughout.
#pragma once

#include <cstring>

#include "dispatch.h"

#define THINOUT_INLINE inline __attribute__((always_inline))

namespace thinout {
namespace {

constexpr int kWordElements = 64;

template <class I, int G>
THINOUT_INLINE void general_round(typename I::V (&c)[4][G], uint32_t key0, uint32_t key1) {
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

// Ten rounds on G vectors of counters; c[0] holds the low block words on entry. Low halves of c are the result.
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
  for (int r = 3; r < kRounds; ++r) general_round<I, G>(c, s.key0[r], s.key1[r]);
}

// The decisions of W words, the first of which starts at block `block` (low word; the high one is in the schedule).
template <class I, bool wide, int W>
THINOUT_INLINE void draw(const Schedule& s, typename I::Limit limit, uint32_t block, typename I::Keep (&keep)[W]) {
  constexpr int blocks_per_word = wide ? 16 : 8;
  constexpr int vectors = W * blocks_per_word / I::kLanes;
  constexpr int group = vectors < I::kGroup ? vectors : I::kGroup;
  for (int v = 0; v < vectors; v += group) {
    typename I::V c[4][group];
#pragma GCC unroll 8
    for (int g = 0; g < group; ++g) c[0][g] = I::counters(block + static_cast<uint32_t>((v + g) * I::kLanes));
    philox<I, group>(s, c);
#pragma GCC unroll 8
    for (int g = 0; g < group; ++g) {
      const int element = (v + g) * I::kLanes * (wide ? 4 : 8);
      I::template compare<wide>(keep[element / kWordElements], element % kWordElements, limit, c[0][g], c[1][g],
                                c[2][g], c[3][g]);
    }
  }
}

// Calls op.step(keep, inputs, output) for every word of [first, first + n); words cut by an end go through a buffer.
template <class I, class T, bool wide, class Op>
struct Walk {
  const Op& op;
  const T* in[Op::kInputs + 1];  // one more than used: C++ has no empty array
  T* out;

  THINOUT_INLINE void whole(const typename I::Keep& keep, int64_t i) const {
    const T* at[Op::kInputs + 1];
    for (int k = 0; k < Op::kInputs; ++k) at[k] = in[k] + i;
    op.step(keep, at, out + i);
  }

  __attribute__((noinline)) void part(const typename I::Keep& keep, int skip, int64_t i, int64_t count) const {
    alignas(64) T buffer[Op::kInputs + 1][kWordElements] = {};
    const T* at[Op::kInputs + 1];
    for (int k = 0; k < Op::kInputs; ++k) {
      std::memcpy(buffer[k] + skip, in[k] + i, static_cast<size_t>(count) * sizeof(T));
      at[k] = buffer[k];
    }
    op.step(keep, at, buffer[Op::kInputs]);
    std::memcpy(out + i, buffer[Op::kInputs] + skip, static_cast<size_t>(count) * sizeof(T));
  }

  // Elements [begin, end) whose blocks all have the same high word.
  void segment(const Stream& stream, uint64_t first, int64_t begin, int64_t end) const {
    constexpr int shift = wide ? 2 : 3;  // elements per block, log 2
    constexpr int64_t batch = I::kWords * kWordElements;
    const uint64_t start = first + static_cast<uint64_t>(begin);
    const Schedule s = make_schedule(stream, static_cast<uint32_t>(start >> (32 + shift)));
    const auto limit = I::template limit<wide>(stream.threshold);
    const auto block = [&](int64_t i) { return static_cast<uint32_t>((first + static_cast<uint64_t>(i)) >> shift); };
    typename I::Keep keep[I::kWords];
    typename I::Keep one[1];
    int64_t i = begin;
    if (const int skip = static_cast<int>(start % kWordElements)) {
      const int64_t count = end - i < kWordElements - skip ? end - i : kWordElements - skip;
      draw<I, wide, 1>(s, limit, block(i - skip), one);
      part(one[0], skip, i, count);
      i += count;
    }
    for (; i + batch <= end; i += batch) {
      draw<I, wide, I::kWords>(s, limit, block(i), keep);
#pragma GCC unroll 4
      for (int w = 0; w < I::kWords; ++w) whole(keep[w], i + w * kWordElements);
    }
    for (; i < end; i += kWordElements) {
      draw<I, wide, 1>(s, limit, block(i), one);
      if (end - i < kWordElements) part(one[0], 0, i, end - i);
      else whole(one[0], i);
    }
  }

  void run(const Stream& stream, uint64_t first, int64_t n) const {
    constexpr uint64_t span = uint64_t{1} << (wide ? 34 : 35);  // elements that share the high block word
    for (int64_t i = 0; i < n;) {
      const uint64_t room = span - (first + static_cast<uint64_t>(i)) % span;
      const int64_t end = static_cast<uint64_t>(n - i) <= room ? n : i + static_cast<int64_t>(room);
      segment(stream, first, i, end);
      i = end;
    }
  }
};

template <class I, class T, class Op>
void walk(const Stream& stream, uint64_t first, int64_t n, const Op& op, const T* const* in, T* out) {
  const auto go = [&](auto walker) {
    for (int k = 0; k < Op::kInputs; ++k) walker.in[k] = in[k];
    walker.run(stream, first, n);
  };
  if (stream.wide) go(Walk<I, T, true, Op>{op, {}, out});
  else go(Walk<I, T, false, Op>{op, {}, out});
}

// out = keep ? x * scale : 0
template <class I, class T, bool bypass_cache>
struct Select {
  using P = typename I::template Pack<T>;
  static constexpr int kInputs = 1;
  typename P::Scalar scale;

  THINOUT_INLINE void step(const typename I::Keep& keep, const T* const* in, T* out) const {
#pragma GCC unroll 8
    for (int i = 0; i < kWordElements; i += P::kLanes) {
      const auto scaled = P::pack(P::mul(P::unpack(P::load(in[0] + i)), scale));
      P::template store<bypass_cache>(out + i, P::select(scaled, keep, i));
    }
  }
};

template <class I, bool bypass_cache>
struct Select<I, keep8, bypass_cache> {
  static constexpr int kInputs = 0;
  double scale;

  THINOUT_INLINE void step(const typename I::Keep& keep, const keep8* const*, keep8* out) const {
    I::store_mask(keep, &out->value);
  }
};

template <class I, class T>
void flat(const Stream& stream, const void* x, void* y, int64_t n, uint64_t first, bool bypass_cache) {
  const T* in = static_cast<const T*>(x);
  T* out = static_cast<T*>(y);
  const uint64_t head = (kWordElements - first % kWordElements) % kWordElements;  // elements before a whole word
  const bool aligned = (reinterpret_cast<uintptr_t>(out) + head * sizeof(T)) % 64 == 0;
  using Scalar = decltype(Select<I, T, true>::scale);
  const Scalar scale = static_cast<Scalar>(stream.scale);
  if (!bypass_cache || !aligned) return walk<I>(stream, first, n, Select<I, T, false>{scale}, &in, out);
  walk<I>(stream, first, n, Select<I, T, true>{scale}, &in, out);
  I::fence();
}

template <class I, class T>
void select(const uint64_t* bits, const void* x, void* y, int64_t n, double scale) {
  using Op = Select<I, T, false>;
  const Op op{static_cast<decltype(Op::scale)>(scale)};
  const Walk<I, T, false, Op> walker{op, {static_cast<const T*>(x)}, static_cast<T*>(y)};
  for (int64_t i = 0; i < n; i += kWordElements) {
    typename I::Keep keep;
    I::expand(bits[i / kWordElements], keep);
    if (n - i < kWordElements) walker.part(keep, 0, i, n - i);
    else walker.whole(keep, i);
  }
}

template <class I, bool wide>
void draw_bits(const Stream& stream, uint64_t first_word, int64_t num_words, uint64_t* bits) {
  const auto limit = I::template limit<wide>(stream.threshold);
  for (int64_t w = 0; w < num_words;) {
    const uint64_t block = (first_word + static_cast<uint64_t>(w)) * (wide ? 16 : 8);
    const Schedule s = make_schedule(stream, static_cast<uint32_t>(block >> 32));
    const bool batch = num_words - w >= I::kWords && (block >> 32) == (block + 16 * I::kWords - 1) >> 32;
    typename I::Keep keep[I::kWords], one[1];
    if (batch) draw<I, wide, I::kWords>(s, limit, static_cast<uint32_t>(block), keep);
    else draw<I, wide, 1>(s, limit, static_cast<uint32_t>(block), one);
    const int count = batch ? I::kWords : 1;
    for (int k = 0; k < count; ++k) bits[w + k] = I::collapse(batch ? keep[k] : one[0]);
    w += count;
  }
}

template <class I>
void bits(const Stream& stream, uint64_t first_word, int64_t num_words, uint64_t* bits) {
  (stream.wide ? draw_bits<I, true> : draw_bits<I, false>)(stream, first_word, num_words, bits);
}

template <class I>
constexpr Kernels make_kernels(const char* name) {
  return Kernels{
      name,
      {flat<I, float>, flat<I, double>, flat<I, bfloat16>, flat<I, float16>, flat<I, keep8>},
      {select<I, float>, select<I, double>, select<I, bfloat16>, select<I, float16>, select<I, keep8>},
      bits<I>,
  };
}

}  // namespace
}  // namespace thinout
