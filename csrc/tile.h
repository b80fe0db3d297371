// Tiles for an output whose memory order differs from the mask's: decisions are drawn along the dimension `across`,
// where the mask index goes up by 1, transposed as bits, and used along the run, where memory is contiguous.
#pragma once

#include "runs.h"

namespace thinout {
namespace {

struct TileShape {
  int64_t rows, columns;  // along `across`, along the run
  bool one_range;         // a column's indices follow those of the column before: all are drawn as one range
};

constexpr int64_t kTileElements = 64 * 1024, kMaxRows = 1024, kMaxColumns = 1024;

inline int64_t round_up64(int64_t n) { return words_for(n) * 64; }
inline int64_t at_most(int64_t n, int64_t limit) { return n < limit ? n : limit; }

// Wide tiles use memory best, since a row is contiguous; where columns do not start at whole words of 64 decisions,
// tall ones waste fewer of the decisions at their ends.
inline TileShape tile_shape(const Dim& across, const Dim& run, bool aligned) {
  if (across.size <= kMaxRows && run.index == across.size) {
    const int64_t fitting = at_most(kTileElements / across.size, kMaxColumns) / 64 * 64;
    return {across.size, at_most(run.size, fitting), true};
  }
  const int64_t columns = at_most(run.size, aligned ? kMaxColumns : 256);
  return {at_most(kTileElements / round_up64(columns) / 64 * 64, kMaxRows), columns, false};
}

class Tile {
 public:
  Tile(const Call& call, const Dim& across, const Dim& run, const TileShape& shape)
      : call_(call), across_(across), run_(run), one_range_(shape.one_range), input_(call, run.x) {
    for (int value = 0; value < 256 && narrow(); ++value) {
      spread_[value] = 0;
      for (int bit = 0; bit < 8; ++bit) spread_[value] |= uint64_t(value >> bit & 1) << (bit * run.size);
    }
  }

  void apply(const Cursor& c, int64_t rows, int64_t columns) {
    draw(call_.index(c), rows, columns);
    const bool dense = run_.x == 1 && columns == run_.size && across_.x == columns && across_.y == columns;
    if (dense) return apply_dense(c, rows, columns);
    transpose(rows, columns);
    for (int64_t r = 0; r < rows; ++r) {
      const void* x = input_.at(c.x + r * across_.x, columns);
      call_.select(bits_ + r * words_for(columns), x, c.y + r * across_.y, columns);
    }
  }

 private:
  bool narrow() const { return run_.size <= 8; }

  void draw(uint64_t first, int64_t rows, int64_t columns) {
    if (one_range_) {
      const int64_t start = draws_.add(first, rows * columns);
      for (int64_t k = 0; k < columns; ++k) start_[k] = start + k * rows;
    } else {
      for (int64_t k = 0; k < columns; ++k) start_[k] = draws_.add(first + static_cast<uint64_t>(k * run_.index), rows);
    }
    draws_.draw(call_.isa, call_.stream);
  }

  // bits_ = the rows' decisions, each row from a whole word on.
  void transpose(int64_t rows, int64_t columns) {
    const int64_t stride = words_for(columns);
    uint64_t square[64];
    for (int64_t column = 0; column < columns; column += 64) {
      const int64_t width = at_most(columns - column, 64);
      for (int64_t row = 0; row < rows; row += 64) {
        for (int64_t k = 0; k < 64; ++k) square[k] = k < width ? bits_from(draws_.bits(), start_[column + k] + row) : 0;
        transpose64(square);
        for (int64_t k = 0; k < 64; ++k) bits_[(row + k) * stride + column / 64] = square[k];
      }
    }
  }

  // The rows follow each other in memory without gaps (channels last): one long run.
  void apply_dense(const Cursor& c, int64_t rows, int64_t columns) {
    narrow() ? interleave(rows, columns) : concatenate(rows, columns);
    call_.select(packed_, input_.at(c.x, rows * columns), c.y, rows * columns);
  }
  void concatenate(int64_t rows, int64_t columns) {
    transpose(rows, columns);
    BitWriter writer(packed_);
    const uint64_t* bits = bits_;
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t k = 0; k < columns; k += 64) writer.append(*bits++, static_cast<int>(at_most(columns - k, 64)));
    }
    writer.finish();
  }
  // For few columns (3 colours): 8 rows at a time, each column's 8 decisions spread to their places by a table.
  void interleave(int64_t rows, int64_t columns) {
    BitWriter writer(packed_);
    for (int64_t row = 0; row < rows; row += 8) {
      uint64_t word = 0;
      for (int64_t k = 0; k < columns; ++k) word |= spread_[bits_from(draws_.bits(), start_[k] + row) & 0xFF] << k;
      const int count = static_cast<int>(at_most(rows - row, 8) * columns);
      writer.append(word & ~uint64_t{0} >> (64 - count), count);
    }
    writer.finish();
  }

  const Call& call_;
  const Dim &across_, &run_;
  const bool one_range_;
  Input input_;
  Draws<1400> draws_;  // 256 columns of 256 decisions that start within a word take 1280
  int64_t start_[kMaxColumns];
  uint64_t bits_[2 * kTileElements / 64];  // rows and columns are rounded up to 64
  uint64_t packed_[kTileElements / 64 + 1];
  uint64_t spread_[256];
};

}  // namespace
}  // namespace thinout
