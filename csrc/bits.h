// Keep decisions as bits, for where they are needed in another order than they are drawn in.
#pragma once

#include "dispatch.h"

namespace thinout {
namespace {

inline int64_t words_for(int64_t n) { return (n + 63) / 64; }

// The decisions of indices [first, first + n), from bit 0 of bits[0] on; needs room for words_for(n) + 1 words.
inline void range_bits(const Kernels& isa, const Stream& stream, uint64_t first, int64_t n, uint64_t* bits) {
  const int shift = static_cast<int>(first % 64);
  isa.bits(stream, first / 64, words_for(n + shift), bits);
  if (shift == 0) return;
  for (int64_t w = 0; w < words_for(n); ++w) {
    const bool more = w + 1 < words_for(n + shift);
    bits[w] = bits[w] >> shift | (more ? bits[w + 1] << (64 - shift) : 0);
  }
}

// Single decisions; 64 neighbours are drawn at once, since the next one asked for is mostly among them.
class OneByOne {
 public:
  OneByOne(const Kernels& isa, const Stream& stream) : isa_(isa), stream_(stream) {}
  bool kept(uint64_t index) {
    if (index / 64 != word_) {
      word_ = index / 64;
      isa_.bits(stream_, word_, 1, &bits_);
    }
    return bits_ >> (index % 64) & 1;
  }

 private:
  const Kernels& isa_;
  const Stream& stream_;
  uint64_t word_ = ~uint64_t{0};  // no index is that large
  uint64_t bits_ = 0;
};

// Bit j of word i becomes bit i of word j: swaps ever smaller off-diagonal squares (Hacker's Delight, 7-3).
inline void transpose64(uint64_t (&a)[64]) {
  uint64_t mask = 0x00000000FFFFFFFFu;
  for (int width = 32; width > 0; width >>= 1, mask ^= mask << width) {
    for (int base = 0; base < 64; base += 2 * width) {
      for (int i = base; i < base + width; ++i) {
        const uint64_t swap = (a[i] >> width ^ a[i + width]) & mask;
        a[i] ^= swap << width;
        a[i + width] ^= swap;
      }
    }
  }
}

// Appends runs of bits without gaps. Bits of a word beyond its run must be 0.
class BitWriter {
 public:
  explicit BitWriter(uint64_t* out) : out_(out) { *out_ = 0; }
  void append(uint64_t word, int count) {
    *out_ |= word << used_;
    used_ += count;
    if (used_ < 64) return;
    used_ -= 64;
    *++out_ = used_ ? word >> (count - used_) : 0;
  }

 private:
  uint64_t* out_;
  int used_ = 0;
};

}  // namespace
}  // namespace thinout
