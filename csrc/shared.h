// Masks whose decisions are shared: by the elements of a row, by the repetitions of a block, or both.
#pragma once

#include "runs.h"

namespace thinout {
namespace {

// Decisions of one range at a time, kept for as long as the same ones are asked for.
template <int64_t max_bits>
class Decisions {
 public:
  Decisions(const Call& call) : call_(call) {}

  // Returns the bit position of the decision of index `first`; `n` <= max_bits. What follows on the range before is
  // drawn further than asked for, since short ranges mostly go on so.
  int64_t at(uint64_t first, int64_t n) {
    const uint64_t end = first + static_cast<uint64_t>(n);
    if (first < begin_ || end > end_) {
      const int64_t shift = static_cast<int64_t>(first % 64);
      const int64_t words = words_for(n + shift), ahead = first / 64 == end_ / 64 && words < kAhead ? kAhead : words;
      const Range range{first / 64, ahead};
      Drawing drawing;
      drawing.stream = &call_.stream;
      drawing.range = &range;
      drawing.bits = bits_;
      drawing.left = ahead;
      drawing.schedule = schedule_;
      drawing.high = high_;
      call_.isa.bits(drawing);
      schedule_ = drawing.schedule;
      high_ = drawing.high;
      begin_ = first - static_cast<uint64_t>(shift);
      end_ = begin_ + static_cast<uint64_t>(ahead) * 64;
    }
    return static_cast<int64_t>(first - begin_);
  }
  const uint64_t* bits() const { return bits_; }

 private:
  static constexpr int64_t kAhead = 8;
  static_assert(max_bits / 64 >= kAhead);

  const Call& call_;
  uint64_t begin_ = 0, end_ = 0;
  uint64_t high_ = ~uint64_t{0};
  Schedule schedule_{};
  uint64_t bits_[max_bits / 64 + 2] = {};  // may begin within a word; one word more is read
};

// Writes every bit so many times.
class Widener {
 public:
  explicit Widener(int64_t times) : times_(static_cast<int>(times)) {
    while (width_ > 1 && width_ * times > 64) width_ /= 2;
    const uint64_t one = ~uint64_t{0} >> (64 - times_);
    for (int v = 1; v < 1 << width_; ++v) table_[v] = table_[v & (v - 1)] | one << times_ * __builtin_ctz(v);
  }
  void append(BitWriter& writer, const uint64_t* bits, int64_t bit, int64_t n) const {
    for (int64_t i = 0; i < n; i += 64) {
      uint64_t word = bits_from(bits, bit + i);
      const int64_t count = n - i < 64 ? n - i : 64;
      int64_t k = 0;
      for (; k + width_ <= count; k += width_, word >>= width_) {
        writer.append(table_[word & ((1u << width_) - 1)], width_ * times_);
      }
      for (; k < count; ++k, word >>= 1) writer.append(table_[word & 1], times_);
    }
  }

 private:
  int times_, width_ = 8;  // bits that are widened at once
  uint64_t table_[256] = {};
};

// Writes the bits of a period over and over.
inline void append_periods(BitWriter& writer, const uint64_t* bits, int64_t bit, int64_t period, int64_t times) {
  if (period >= 64) {
    for (int64_t t = 0; t < times; ++t) {
      for (int64_t k = 0; k < period; k += 64) {
        const int count = static_cast<int>(at_most(period - k, 64));
        writer.append(bits_from(bits, bit + k) & ~uint64_t{0} >> (64 - count), count);
      }
    }
    return;
  }
  const uint64_t one = bits_from(bits, bit) & ~uint64_t{0} >> (64 - period);
  uint64_t many = one;
  int64_t together = 1;
  for (; 2 * together * period <= 64; together *= 2) many |= many << together * period;
  for (; times >= together; times -= together) writer.append(many, static_cast<int>(together * period));
  for (; times > 0; --times) writer.append(one, static_cast<int>(period));
}

constexpr int64_t kPattern = 32 * 1024;  // elements whose decisions are kept as bits

// Decisions of the elements of a block: each held by `width` elements, the whole so many times over.
class Pattern {
 public:
  Pattern(const Call& call, int64_t width) : decisions_(call), widener_(width), width_(width) {}

  void prepare(uint64_t first, int64_t rows, int64_t times) {
    if (rows == rows_ && times == times_ && first == first_) return;
    first_ = first, rows_ = rows, times_ = times;
    position_ = decisions_.at(first, rows);
    bits_ = decisions_.bits();
    if (width_ > 1) {
      BitWriter writer(wide_);
      widener_.append(writer, bits_, position_, rows);
      writer.finish();
      bits_ = wide_, position_ = 0;
    }
    if (times > 1) {
      BitWriter writer(periods_);
      append_periods(writer, bits_, position_, rows * width_, times);
      writer.finish();
      bits_ = periods_, position_ = 0;
    }
  }
  const uint64_t* bits() const { return bits_; }
  int64_t position() const { return position_; }

 private:
  Decisions<kPattern> decisions_;
  Widener widener_;
  const int64_t width_;
  uint64_t first_ = 0;
  int64_t rows_ = 0, times_ = 0, position_ = 0;
  const uint64_t* bits_ = nullptr;
  uint64_t wide_[kPattern / 64 + 2], periods_[kPattern / 64 + 2];
};

}  // namespace
}  // namespace thinout
