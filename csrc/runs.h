// Contiguous pieces ("runs") of a strided output, and what it takes to write them.
#pragma once

#include <cstring>

#include "bits.h"
#include "flat.h"
#include "layout.h"

namespace thinout {
namespace {

constexpr int64_t kRun = 2048;  // elements of a run that are treated at a time

struct Call {
  const Kernels& isa;
  const Stream& stream;
  const char* x;  // null for a mask
  char* y;
  int type;
  int64_t first_index;
  bool bypass_cache;

  int64_t bytes() const { return kElementBytes[type]; }
  uint64_t index(const Cursor& c) const { return static_cast<uint64_t>(first_index + c.index); }
  char* out(int64_t offset) const { return y + offset * bytes(); }
  void select(const uint64_t* bits, const void* in, int64_t offset, int64_t n) const {
    isa.select[type](bits, in, out(offset), n, stream.scale, bypass_cache);
  }
  void finish() const {  // of each thread
    if (bypass_cache) isa.fence();
  }
};

// Splits a run into pieces of at most `step`: a dimension for the end of the walk.
inline Dim pieces(const Dim& run, int64_t step) {
  return {(run.size + step - 1) / step, step * run.x, step * run.y, step * run.index};
}
inline int64_t piece_size(const Dim& run, int64_t step, int64_t piece) {
  return run.size - piece * step < step ? run.size - piece * step : step;
}

// The input of a run in consecutive memory: elements that have another stride there are copied together.
class Input {
 public:
  Input(const Call& call, int64_t stride) : call_(call), stride_(stride) {}
  const void* at(int64_t offset, int64_t n) {  // n <= kRun unless the stride is 1
    if (!call_.x) return nullptr;
    const char* from = call_.x + offset * call_.bytes();
    if (stride_ == 1 || n == 1) return from;
    if (call_.bytes() == 8)
      gather<8>(from, n);
    else if (call_.bytes() == 4)
      gather<4>(from, n);
    else
      gather<2>(from, n);
    return buffer_;
  }

 private:
  template <int bytes>
  void gather(const char* from, int64_t n) {
    for (int64_t i = 0; i < n; ++i) std::memcpy(buffer_ + i * bytes, from + i * stride_ * bytes, bytes);
  }
  const Call& call_;
  const int64_t stride_;
  alignas(64) char buffer_[kRun * 8];
};

// Runs whose mask index goes up by 1, or stays the same. Collected, so that the decisions of many short runs, and of
// runs that share them, are drawn together.
class RunBatch {
 public:
  RunBatch(const Call& call, const Dim& run) : call_(call), shared_(run.index == 0), input_(call, run.x) {
    std::memset(all_, 0xFF, sizeof all_);
  }
  void add(const Cursor& c, int64_t n) {
    const int64_t decisions = shared_ ? 1 : n;
    if (count_ == kRows || !draws_.fits(decisions)) flush();
    rows_[count_++] = {c.x, c.y, n, draws_.add(call_.index(c), decisions)};
  }
  void flush() {
    draws_.draw(call_.isa, call_.stream);
    for (int i = 0; i < count_; ++i) shared_ ? write_shared(rows_[i]) : write(rows_[i]);
    count_ = 0;
  }

 private:
  struct Row {
    int64_t x, y, n, bit;
  };
  static constexpr int kRows = 128;

  void write(const Row& row) {
    uint64_t shifted[kRun / 64];
    const uint64_t* bits = draws_.bits() + row.bit / 64;
    if (row.bit % 64) {
      for (int64_t w = 0; w < words_for(row.n); ++w) shifted[w] = bits_from(draws_.bits(), row.bit + 64 * w);
      bits = shifted;
    }
    call_.select(bits, input_.at(row.x, row.n), row.y, row.n);
  }
  void write_shared(const Row& row) {
    if (bits_from(draws_.bits(), row.bit) & 1)
      call_.select(all_, input_.at(row.x, row.n), row.y, row.n);
    else
      std::memset(call_.out(row.y), 0, static_cast<size_t>(row.n * call_.bytes()));
  }

  const Call& call_;
  const bool shared_;
  Input input_;
  int count_ = 0;
  Row rows_[kRows];
  Draws<128> draws_;
  uint64_t all_[kRun / 64];
};

}  // namespace
}  // namespace thinout
