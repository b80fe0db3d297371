// Ranges of mask indices that are drawn together, since the kernels like to have many words at a time.
#pragma once

#include "bits.h"

namespace thinout {
namespace {

template <int capacity>  // in words
class Draws {
 public:
  Draws(const Kernels& isa, const Stream& stream) : isa_(isa), stream_(stream) {}

  bool fits(int64_t n) const { return size_ + words_for(n) + 1 <= capacity; }

  // Asks for the decisions of [first, first + n) and returns the bit position that they will have.
  int64_t add(uint64_t first, int64_t n) {
    if (first >= first_ && first + static_cast<uint64_t>(n) <= end_) {
      return position_ + static_cast<int64_t>(first - first_);  // inside the range that came before
    }
    const int64_t shift = static_cast<int64_t>(first % 64), needed = words_for(n + shift);
    position_ = size_ * 64;
    first_ = first - static_cast<uint64_t>(shift);
    end_ = first_ + static_cast<uint64_t>(needed * 64);
    for (int64_t w = 0; w < needed; ++w) {
      if (waiting_ == kBatch) pass();
      words_[waiting_++] = first_ / 64 + static_cast<uint64_t>(w);
    }
    size_ += needed;
    return position_ + shift;
  }

  // The decisions of all that was asked for since the last call.
  const uint64_t* draw() {
    pass();
    bits_[size_] = 0;  // bits_from reads further
    size_ = passed_ = 0;
    first_ = end_ = 0;
    return bits_;
  }

 private:
  static constexpr int kBatch = 64;

  void pass() {
    isa_.bits(stream_, words_, waiting_, bits_ + passed_);
    passed_ += waiting_;
    waiting_ = 0;
  }

  const Kernels& isa_;
  const Stream& stream_;
  int64_t size_ = 0, passed_ = 0, waiting_ = 0, position_ = 0;
  uint64_t first_ = 0, end_ = 0;  // the last range
  uint64_t words_[kBatch], bits_[capacity + 1];
};

}  // namespace
}  // namespace thinout
