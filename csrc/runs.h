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
  bool far;  // whether the memory is larger than caches, so that it pays to fetch it ahead
  bool bypass_cache;
  int64_t num_elements;

  int64_t bytes() const { return kElementBytes[type]; }
  uint64_t index(const Cursor& c) const { return static_cast<uint64_t>(first_index + c.index); }
  const char* in(int64_t offset) const { return x ? x + offset * bytes() : nullptr; }
  char* out(int64_t offset) const { return y + offset * bytes(); }
  // `count` pieces of n elements; from one to the next, `times` steps.
  Series series(int64_t at_x, int64_t at_y, const Dim& step, int64_t times, int64_t n, int64_t count) const {
    return {in(at_x), out(at_y), x ? times * step.x : 0, times * step.y, n, count};
  }
  void write(const uint64_t* bits, const Run* runs, int64_t count, int64_t ahead, Drawing& next) const {
    isa.runs[type]({bits, runs, count, ahead, stream.scale, bypass_cache, next});
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
  // Several, in even steps of memory and bits.
  void add(int64_t x, int64_t y, int64_t bit, int64_t n, const Dim& step, int64_t bit_step, int64_t repeats) {
    const int64_t x_bytes = call_.x ? step.x * call_.bytes() : 0, y_bytes = step.y * call_.bytes();
    const char* in = call_.in(x);
    char* out = call_.out(y);
    Run* run = runs_ + count_;
    for (int64_t i = 0; i < repeats; ++i, in += x_bytes, out += y_bytes, bit += bit_step) run[i] = {in, out, bit, n};
    count_ += repeats;
  }

  void write(const uint64_t* bits, Drawing& next) {
    if (count_ == 0) return;
    if (input_.in_place()) return call_.write(bits, runs_, count_, ahead(), next);
    for (int64_t i = 0; i < count_; ++i) {
      runs_[i].x = input_.at(runs_[i].x, runs_[i].n);
      call_.write(bits, runs_ + i, 1, 0, next);
    }
  }

 private:
  static constexpr int64_t kAhead = 1024;  // elements
  // The processor itself fetches long runs, and runs that follow each other in memory, better.
  int64_t ahead() const {
    const Run& first = runs_[0];
    if (!call_.far || first.n > kAhead / 2) return 0;
    if (count_ > 1 && runs_[1].y == static_cast<char*>(first.y) + first.n * call_.bytes()) return 0;
    return 1 + kAhead / first.n;
  }

  const Call& call_;
  Input input_;
  int64_t count_ = 0;
  Run runs_[capacity];
};

// Runs whose mask index goes up by 1, or stays the same. Collected, so that the decisions of many short runs, and of
// runs that share them, are drawn together, while the runs collected before are written.
class RunBatch {
 public:
  static constexpr int kRows = 128;

  RunBatch(const Call& call, const Dim& run) : call_(call), half_{{call, run}, {call, run}} {
    std::memset(all_, 0xFF, sizeof all_);
  }
  // Runs of n elements with one decision each.
  void add_shared(const Cursor& c, int64_t n) {
    if (half_[filling_].rows == kRows) turn();
    Half& h = half_[filling_];
    h.row[h.rows++] = {c.x, c.y, n, h.draws.add(call_.index(c), 1)};
  }
  // `repeats` runs of n elements, whose indices follow each other, at the steps of `next` in memory.
  void add(const Cursor& c, int64_t n, const Dim& next, int64_t repeats) {
    if (!half_[filling_].runs.fits(repeats) || !half_[filling_].draws.fits(n * repeats)) turn();
    Half& h = half_[filling_];
    const int64_t bit = h.draws.add(call_.index(c), n * repeats);
    h.runs.add(c.x, c.y, bit, n, next, n, repeats);
  }
  void finish() {
    turn();
    turn();
    call_.finish();
  }

 private:
  struct Row {
    int64_t x, y, n, bit;
  };
  struct Half {
    Half(const Call& call, const Dim& run) : runs(call, run.x) {}
    Draws<kRows, kRows> draws;
    RunList<kRows> runs;
    int rows = 0;  // with one decision each
    Row row[kRows];
  };

  void turn() {
    Half &next = half_[filling_], &ready = half_[1 - filling_];
    next.draws.start(call_.stream, drawing_);
    for (int i = 0; i < ready.rows; ++i) keep_or_clear(ready, ready.row[i]);
    ready.runs.write(ready.rows ? all_ : ready.draws.bits(), drawing_);
    ready.runs.clear();
    ready.rows = 0;
    call_.isa.bits(drawing_);
    filling_ = 1 - filling_;
  }
  void keep_or_clear(Half& h, const Row& row) {
    if (bits_from(h.draws.bits(), row.bit) & 1)
      h.runs.add(row.x, row.y, 0, row.n);
    else
      std::memset(call_.out(row.y), 0, static_cast<size_t>(row.n * call_.bytes()));
  }

  const Call& call_;
  Drawing drawing_;
  int filling_ = 0;
  Half half_[2];
  uint64_t all_[kRun / 64 + 1];
};

}  // namespace
}  // namespace thinout
