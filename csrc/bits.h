// Keep decisions as bits, for where they are needed in another order than they are drawn in.
#pragma once

#include "dispatch.h"

namespace thinout {
namespace {

inline int64_t words_for(int64_t n) { return (n + 63) / 64; }

// 64 bits from any bit position on; reads two words.
inline uint64_t bits_from(const uint64_t* bits, int64_t position) {
  const int shift = static_cast<int>(position % 64);
  const uint64_t* word = bits + position / 64;
  return shift ? word[0] >> shift | word[1] << (64 - shift) : word[0];
}

// Ranges of mask indices that are drawn together, since the kernels like to have many words at a time.
template <int capacity>
class Draws {
 public:
  bool fits(int64_t n) const { return size_ + words_for(n) + 1 <= capacity; }

  // Asks for the decisions of [first, first + n) and returns the bit position that they will have.
  int64_t add(uint64_t first, int64_t n) {
    const int64_t shift = static_cast<int64_t>(first % 64), needed = words_for(n + shift);
    if (size_ > 0 && first >= first_ && first + static_cast<uint64_t>(n) <= first_ + static_cast<uint64_t>(n_)) {
      return position_ + static_cast<int64_t>(first - first_);  // inside the range that came before
    }
    position_ = size_ * 64;
    first_ = first - static_cast<uint64_t>(shift);
    n_ = needed * 64;
    for (int64_t w = 0; w < needed; ++w) words_[size_++] = first / 64 + static_cast<uint64_t>(w);
    return position_ + shift;
  }

  void draw(const Kernels& isa, const Stream& stream) {
    isa.bits(stream, words_, size_, bits_);
    bits_[size_] = bits_[size_ + 1] = 0;  // bits_from reads further
    size_ = 0;
  }

  const uint64_t* bits() const { return bits_; }

 private:
  int64_t size_ = 0, position_ = 0, n_ = 0;
  uint64_t first_ = 0;
  uint64_t words_[capacity], bits_[capacity + 2];
};

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
inline void transpose64(uint64_t (&a)[64]) {
  swap_squares<32>(a, 0x00000000FFFFFFFFu);
  swap_squares<16>(a, 0x0000FFFF0000FFFFu);
  swap_squares<8>(a, 0x00FF00FF00FF00FFu);
  swap_squares<4>(a, 0x0F0F0F0F0F0F0F0Fu);
  swap_squares<2>(a, 0x3333333333333333u);
  swap_squares<1>(a, 0x5555555555555555u);
}

// Appends runs of bits without gaps. Bits of a word beyond its run must be 0; `finish` writes the last, partial word.
class BitWriter {
 public:
  explicit BitWriter(uint64_t* out) : out_(out) {}
  void append(uint64_t word, int count) {
    pending_ |= word << used_;
    used_ += count;
    if (used_ < 64) return;
    *out_++ = pending_;
    used_ -= 64;
    pending_ = used_ ? word >> (count - used_) : 0;
  }
  void finish() { *out_ = pending_; }

 private:
  uint64_t* out_;
  uint64_t pending_ = 0;
  int used_ = 0;
};

}  // namespace
}  // namespace thinout
