// Wide tiles of many rows: strips of 64 rows, for which each column has one word of decisions. Rows are then as long as
// in memory, which the processor's own prefetching needs, and few decisions wait.
#pragma once

#include "tile.h"

namespace thinout {
namespace {

constexpr int64_t kStripColumns = 4096, kLeastColumns = 256;

// The shape of a stack of strips; 0 rows where the work has too little of either. `aligned`: all columns start at whole
// words; others need one word more than they have rows for, which has to be little beside the rest.
inline TileShape strips_shape(int64_t rows, const Dim& run, bool aligned, bool in_place, int64_t share) {
  const int64_t least = aligned ? 256 : 512;
  if (rows < least || run.size < kLeastColumns || share < least * kLeastColumns) return {0, 0, false};
  const int64_t most = at_most(in_place ? kStripColumns : kRun, whole_words(share / least));
  const int64_t pieces = (run.size + most - 1) / most;
  const int64_t columns = at_most(round_up64((run.size + pieces - 1) / pieces), run.size);
  return {whole_words(at_most(share / columns, rows + 63)), columns, false};
}

// Where a column's strips end within words, the last word of one strip is the first of the next one; it is drawn once.
// While a strip is written, the words of the next one are drawn.
class Strips {
 public:
  Strips(const Call& call, const Across& across, const Dim& run, const TileShape&)
      : call_(call), across_(across), run_(run), rows_(call, across, run) {}

  // `c` is at the first column and, in mask indices alone, at the first row.
  void add(const Cursor& c, int64_t first_row, int64_t rows, int64_t columns) {
    plan(call_.index(c), columns);
    draw_now();
    if (ragged_) draw_now();
    const int64_t step = words_for(columns) | 1;  // words; odd, so that rows fall on different lines of the cache
    Cursor row(across_.dims, first_row);
    for (int64_t r = 0; r < rows; r += 64) {
      const uint64_t* word = word_[newest_];
      call_.isa.transpose_words(ragged_ ? word_[1 - newest_] : word, word, shift_, columns, square_, step);
      if (r + 64 < rows) draw();
      rows_.write(square_, step * 64, c.x, c.y, columns, row, at_most(rows - r, 64), drawing_);
      call_.isa.bits(drawing_);
    }
  }
  void finish() { call_.finish(); }

 private:
  void plan(uint64_t first, int64_t columns) {
    uint64_t shifts = 0;
    for (int64_t k = 0; k < columns; ++k, first += static_cast<uint64_t>(run_.index)) {
      range_[k] = {first / 64, 1};
      shift_[k] = static_cast<uint8_t>(first % 64);
      shifts |= first % 64;
    }
    columns_ = columns;
    ragged_ = shifts != 0;
    fresh_ = true;
  }

  // Sets what draws the next word of every column.
  void draw() {
    if (!fresh_) {
      for (int64_t k = 0; k < columns_; ++k) ++range_[k].word;
    }
    fresh_ = false;
    newest_ = 1 - newest_;
    drawing_.stream = &call_.stream;
    drawing_.range = range_;
    drawing_.bits = word_[newest_];
    drawing_.left = columns_;
    drawing_.at = 0;
  }
  void draw_now() {
    draw();
    call_.isa.bits(drawing_);
  }

  const Call& call_;
  const Across& across_;
  const Dim& run_;
  RowWriter rows_;
  Drawing drawing_;
  int64_t columns_ = 0;
  bool ragged_ = false, fresh_ = true;
  int newest_ = 0;  // of the two halves of word_
  Range range_[kStripColumns];
  uint8_t shift_[kStripColumns] = {};
  uint64_t word_[2][kStripColumns] = {};
  uint64_t square_[64 * (kStripColumns / 64 + 1) + 1];  // one word more is read
};

}  // namespace
}  // namespace thinout
