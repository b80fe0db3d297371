// Ranges of mask indices that are drawn together, since the kernels like to have many words at a time.
#pragma once

#include "bits.h"

namespace thinout {
namespace {

// `capacity` in words of 64 decisions, of which `batch` are passed on at a time.
template <int capacity, int batch>
class Draws {
 public:
  Draws(const Kernels& isa, const Stream& stream) : isa_(isa), stream_(stream) {}

  bool fits(int64_t n) const { return passed_ + waiting_ + words_for(n) + 1 <= capacity; }

  // Names memory to be fetched meanwhile.
  void fetch(const Ahead& ahead) { ahead_ = ahead; }

  // Asks for the decisions of [first, first + n) and returns the bit position that they will have.
  int64_t add(uint64_t first, int64_t n) {
    if (first >= first_ && first + static_cast<uint64_t>(n) <= end_) {
      return position_ + static_cast<int64_t>(first - first_);  // inside the range that came before
    }
    const uint64_t shift = first % 64, word = first / 64;
    const int64_t needed = words_for(n + static_cast<int64_t>(shift));
    position_ = (passed_ + waiting_) * 64;
    first_ = first - shift;
    end_ = first_ + static_cast<uint64_t>(needed) * 64;
    for (int64_t w = 0; w < needed; ++w) {
      if (waiting_ == batch) pass();
      words_[waiting_++] = word + static_cast<uint64_t>(w);
    }
    return position_ + static_cast<int64_t>(shift);
  }

  // The decisions of all that was asked for since the last call.
  const uint64_t* draw() {
    pass();
    bits_[passed_] = 0;  // bits_from reads further
    passed_ = 0;
    first_ = end_ = 0;
    return bits_;
  }

 private:
  void pass() {
    isa_.bits(stream_, words_, waiting_, bits_ + passed_, ahead_);
    passed_ += waiting_;
    waiting_ = 0;
  }

  const Kernels& isa_;
  const Stream& stream_;
  Ahead ahead_{};
  int64_t passed_ = 0, waiting_ = 0, position_ = 0;
  uint64_t first_ = 0, end_ = 0;  // the last range
  uint64_t words_[batch], bits_[capacity + 1];
};

}  // namespace
}  // namespace thinout
