// Ranges of mask indices whose decisions are drawn together.
#pragma once

#include "bits.h"

namespace thinout {
namespace {

template <int max_ranges, int max_words>  // a word has 64 decisions
class Draws {
 public:
  bool fits(int64_t n) const { return ranges_ < max_ranges && words_ + words_for(n) + 1 <= max_words; }

  // Asks for the decisions of [first, first + n) and returns the bit position that they will have.
  int64_t add(uint64_t first, int64_t n) {
    if (first >= first_ && first + static_cast<uint64_t>(n) <= end_) {
      return position_ + static_cast<int64_t>(first - first_);  // inside the range that came before
    }
    const uint64_t shift = first % 64;
    const Range range{first / 64, words_for(n + static_cast<int64_t>(shift))};
    position_ = words_ * 64;
    first_ = first - shift;
    end_ = first_ + static_cast<uint64_t>(range.count) * 64;
    range_[ranges_++] = range;
    words_ += range.count;
    return position_ + static_cast<int64_t>(shift);
  }

  // Sets `drawing`, which keeps its schedule, to draw all that was asked for since the last call; `bits` are read when
  // it has nothing left.
  void start(const Stream& stream, Drawing& drawing) {
    drawing.stream = &stream;
    drawing.range = range_;
    drawing.bits = bits_;
    drawing.left = words_;
    drawing.at = 0;
    bits_[words_] = 0;  // bits_from reads further
    ranges_ = words_ = 0;
    first_ = end_ = 0;
  }
  const uint64_t* bits() const { return bits_; }

 private:
  int64_t ranges_ = 0, words_ = 0, position_ = 0;
  uint64_t first_ = 0, end_ = 0;  // the last range
  Range range_[max_ranges];
  uint64_t bits_[max_words + 1];
};

}  // namespace
}  // namespace thinout
