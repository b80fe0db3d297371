// Contiguous pieces ("runs") of a strided output, and what it takes to write them.
#pragma once

#include <cstring>

#include "draws.h"
#include "flat.h"
#include "layout.h"

namespace thinout {
namespace {

constexpr int64_t kRun = 1024;  // elements of a run that are treated at a time

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
  const char* in(int64_t offset) const { return x ? x + offset * bytes() : nullptr; }
  char* out(int64_t offset) const { return y + offset * bytes(); }
  void write(const uint64_t* bits, const Run* runs, int64_t count) const {
    isa.runs[type](bits, runs, count, stream.scale, bypass_cache);
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
  bool in_place() const { return stride_ == 1 || !call_.x; }
  const void* at(const void* from, int64_t n) {  // n <= kRun unless the stride is 1
    if (in_place() || n == 1) return from;
    if (call_.bytes() == 8)
      gather<8>(static_cast<const char*>(from), n);
    else if (call_.bytes() == 4)
      gather<4>(static_cast<const char*>(from), n);
    else
      gather<2>(static_cast<const char*>(from), n);
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

// Runs collected, so that the kernel is called once for many short ones.
template <int capacity>
class RunList {
 public:
  RunList(const Call& call, int64_t x_stride) : call_(call), input_(call, x_stride) {}

  bool fits(int64_t n) const { return count_ + n <= capacity; }
  void clear() { count_ = 0; }
  void add(int64_t x, int64_t y, int64_t bit, int64_t n) { runs_[count_++] = {call_.in(x), call_.out(y), bit, n}; }

  // All of them, for a prefetch; nothing where the input has to be copied together.
  Ahead ahead() const {
    if (!input_.in_place()) return {};
    return {runs_, runs_ + count_, call_.bytes(), call_.x != call_.y && !call_.bypass_cache};
  }

  void write(const uint64_t* bits) { write(bits, 0, count_); }
  void write(const uint64_t* bits, int64_t begin, int64_t end) {
    if (input_.in_place()) return call_.write(bits, runs_ + begin, end - begin);
    for (int64_t i = begin; i < end; ++i) {
      runs_[i].x = input_.at(runs_[i].x, runs_[i].n);
      call_.write(bits, runs_ + i, 1);
    }
  }

 private:
  const Call& call_;
  Input input_;
  int64_t count_ = 0;
  Run runs_[capacity];
};

// Runs whose mask index goes up by 1, or stays the same. Collected, so that the decisions of many short runs, and of
// runs that share them, are drawn together.
class RunBatch {
 public:
  static constexpr int kRows = 128;

  RunBatch(const Call& call, const Dim& run)
      : call_(call), shared_(run.index == 0), draws_(call.isa, call.stream), runs_(call, run.x) {
    std::memset(all_, 0xFF, sizeof all_);
  }
  // Runs of n elements with one decision each.
  void add_shared(const Cursor& c, int64_t n) {
    if (count_ == kRows) flush();
    rows_[count_++] = {c.x, c.y, n, draws_.add(call_.index(c), 1)};
  }
  // `repeats` runs of n elements, whose indices follow each other, at the steps of `next` in memory.
  void add(const Cursor& c, int64_t n, const Dim& next, int64_t repeats) {
    if (!runs_.fits(repeats) || !draws_.fits(n * repeats)) flush();
    const int64_t bit = draws_.add(call_.index(c), n * repeats);
    for (int64_t i = 0; i < repeats; ++i) runs_.add(c.x + i * next.x, c.y + i * next.y, bit + i * n, n);
  }
  void flush() {
    if (!shared_) draws_.fetch(runs_.ahead());
    const uint64_t* bits = draws_.draw();
    for (int i = 0; i < count_; ++i) keep_or_clear(rows_[i], bits);
    count_ = 0;
    runs_.write(shared_ ? all_ : bits);
    runs_.clear();
  }

 private:
  struct Row {
    int64_t x, y, n, bit;
  };

  void keep_or_clear(const Row& row, const uint64_t* bits) {
    if (bits_from(bits, row.bit) & 1)
      runs_.add(row.x, row.y, 0, row.n);
    else
      std::memset(call_.out(row.y), 0, static_cast<size_t>(row.n * call_.bytes()));
  }

  const Call& call_;
  const bool shared_;
  Draws<kRows, kRows> draws_;
  RunList<kRows> runs_;
  int count_ = 0;
  Row rows_[kRows];
  uint64_t all_[kRun / 64 + 1];
};

}  // namespace
}  // namespace thinout
