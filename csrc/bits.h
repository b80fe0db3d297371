// Keep decisions as bits, for where they are needed in another order than they are drawn in.
#pragma once

#include "dispatch.h"

namespace thinout {
namespace {

inline int64_t at_most(int64_t n, int64_t limit) { return n < limit ? n : limit; }
inline int64_t words_for(int64_t n) { return (n + 63) / 64; }

// 64 bits from any bit position on; reads two words.
THINOUT_INLINE uint64_t bits_from(const uint64_t* bits, int64_t position) {
  const uint64_t* word = bits + (position >> 6);
  const int shift = static_cast<int>(position & 63);
  return word[0] >> shift | word[1] << 1 << (63 - shift);
}

// Swaps the off-diagonal squares of `width` bits; `mask` has ones in the low half of every 2 * width bits.
template <int width>
THINOUT_INLINE void swap_squares(uint64_t (&a)[64], uint64_t mask) {
  for (int base = 0; base < 64; base += 2 * width) {
    for (int i = base; i < base + width; ++i) {
      const uint64_t swap = (a[i] >> width ^ a[i + width]) & mask;
      a[i] ^= swap << width;
      a[i + width] ^= swap;
    }
  }
}

// Bit j of word i becomes bit i of word j (Hacker's Delight, 7-3).
THINOUT_INLINE void transpose64(uint64_t (&a)[64]) {
  swap_squares<32>(a, 0x00000000FFFFFFFFu);
  swap_squares<16>(a, 0x0000FFFF0000FFFFu);
  swap_squares<8>(a, 0x00FF00FF00FF00FFu);
  swap_squares<4>(a, 0x0F0F0F0F0F0F0F0Fu);
  swap_squares<2>(a, 0x3333333333333333u);
  swap_squares<1>(a, 0x5555555555555555u);
}

// Bit j of byte i becomes bit i of byte j.
THINOUT_INLINE uint64_t transpose8(uint64_t a) {
  uint64_t swap = (a ^ a >> 7) & 0x00AA00AA00AA00AAu;
  a ^= swap ^ swap << 7;
  swap = (a ^ a >> 14) & 0x0000CCCC0000CCCCu;
  a ^= swap ^ swap << 14;
  swap = (a ^ a >> 28) & 0x00000000F0F0F0F0u;
  return a ^ swap ^ swap << 28;
}

// Drops the top `gap` bits of every byte.
THINOUT_INLINE uint64_t close_gaps(uint64_t a, int gap) {
  a = (a & 0x00FF00FF00FF00FFu) | (a & 0xFF00FF00FF00FF00u) >> gap;
  a = (a & 0x0000FFFF0000FFFFu) | (a & 0xFFFF0000FFFF0000u) >> 2 * gap;
  return (a & 0x00000000FFFFFFFFu) | (a & 0xFFFFFFFF00000000u) >> 4 * gap;
}

// Appends runs of bits without gaps. Bits of a word beyond its run must be 0; `finish` writes the last, partial word.
class BitWriter {
 public:
  explicit BitWriter(uint64_t* out) : out_(out) {}
  void append(uint64_t word, int count) {  // without a branch, which nothing could foresee
    pending_ |= word << used_;
    *out_ = pending_;
    const uint64_t rest = word >> 1 >> (63 - used_);
    used_ += count;
    const bool full = used_ >= 64;
    pending_ = full ? rest : pending_;
    out_ += full;
    used_ &= 63;
  }
  void finish() { *out_ = pending_; }

 private:
  uint64_t* out_;
  uint64_t pending_ = 0;
  int used_ = 0;
};

// Bit r of column k becomes bit r * width + k of `width` <= 8 words: a byte from each column, transposed, and the gaps
// closed; in lanes that a compiler turns into vectors.
THINOUT_INLINE void interleave64(const uint64_t (&column)[8], int width, uint64_t* out) {
  uint64_t eights[8];
  for (int i = 0; i < 8; ++i) {
    uint64_t bytes = 0;
    for (int k = 0; k < 8; ++k) bytes |= (column[k] >> 8 * i & 0xFF) << 8 * k;
    eights[i] = close_gaps(transpose8(bytes), 8 - width);
  }
  BitWriter writer(out);
  for (int i = 0; i < 8; ++i) writer.append(eights[i], 8 * width);
}

}  // namespace
}  // namespace thinout
