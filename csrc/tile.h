// Tiles for an output whose memory order differs from the mask's: decisions are drawn along the dimensions `across`,
// where the mask index goes up by 1, transposed as bits, and used along the run, where memory is contiguous.
#pragma once

#include "runs.h"

namespace thinout {
namespace {

// Dimensions whose mask indices count through one range; the innermost has steps of 1.
struct Across {
  Layout dims;
  int64_t size() const { return dims.count(); }
};

struct TileShape {
  int64_t rows, columns;  // along `across`, along the run
  bool one_range;         // a column's indices follow those of the column before: all are drawn as one range
};

constexpr int64_t kTileElements = 128 * 1024, kTileBytes = 256 * 1024;  // of the input; a tile stays in the L2 cache
constexpr int64_t kMaxRows = 1024, kMaxColumns = 1024;
constexpr int64_t kNarrow = 8;  // columns that are interleaved, if memory is dense

inline int64_t at_most(int64_t n, int64_t limit) { return n < limit ? n : limit; }
inline int64_t round_up64(int64_t n) { return words_for(n) * 64; }
inline int64_t whole_words(int64_t n) { return n < 64 ? 64 : n / 64 * 64; }

// Wide tiles use memory best, since a row is contiguous; where columns do not start at whole words of 64 decisions,
// tall ones waste fewer of the decisions at their ends.
inline TileShape tile_shape(int64_t rows, const Dim& run, bool aligned, int64_t bytes) {
  const int64_t elements = at_most(kTileBytes / bytes, kTileElements);
  if (!aligned && rows <= kMaxRows && run.index == rows) {
    return {rows, at_most(run.size, at_most(whole_words(elements / rows), kMaxColumns)), true};
  }
  const int64_t columns = at_most(run.size, aligned ? kMaxColumns : 256);
  return {at_most(whole_words(elements / round_up64(columns)), kMaxRows), columns, false};
}

class Tile {
 public:
  Tile(const Call& call, const Across& across, const Dim& run, const TileShape& shape)
      : call_(call),
        across_(across),
        run_(run),
        one_range_(shape.one_range),
        dense_(is_dense(shape.columns)),
        draws_(call.isa, call.stream),
        runs_(call, run.x) {}

  // `c` is at the tile's first column and, in mask indices alone, at its first row.
  void apply(const Cursor& c, int64_t first_row, int64_t rows, int64_t columns) {
    const int64_t stride = words_for(columns);
    list_rows(c, first_row, rows, columns, stride);
    draws_.fetch(runs_.ahead());
    const uint64_t* bits = draw(call_.index(c), rows, columns);
    if (dense_) runs_.clear();
    if (dense_ && columns <= kNarrow) return interleave(bits, c, first_row, rows, columns);
    for (int64_t r = 0; r < rows; r += 64) {
      const int64_t height = at_most(rows - r, 64);
      for (int64_t k = 0; k < columns; k += 64) {
        call_.isa.transpose(bits, start_ + k, r, at_most(columns - k, 64), square_ + k / 64, stride);
      }
      if (dense_)
        write_dense(c, first_row + r, height, columns);
      else
        runs_.write(square_, r, r + height);
    }
    runs_.clear();
  }

 private:
  // Whether the rows follow each other in memory without gaps (channels last), and make one long run.
  bool is_dense(int64_t columns) const {
    const Dim& rows = across_.dims.dim[0];
    return across_.dims.ndim == 1 && run_.x == 1 && columns == run_.size && rows.x == columns && rows.y == columns;
  }

  void list_rows(const Cursor& c, int64_t first_row, int64_t rows, int64_t columns, int64_t stride) {
    Cursor row(across_.dims, first_row);
    if (dense_) return runs_.add(c.x + row.x, c.y + row.y, 0, rows * columns);
    for (int64_t r = 0; r < rows; ++r, row.advance()) {
      runs_.add(c.x + row.x, c.y + row.y, r % 64 * stride * 64, columns);
    }
  }

  const uint64_t* draw(uint64_t first, int64_t rows, int64_t columns) {
    if (one_range_) {
      const int64_t start = draws_.add(first, rows * columns);
      for (int64_t k = 0; k < columns; ++k) start_[k] = start + k * rows;
    } else {
      for (int64_t k = 0; k < columns; ++k) start_[k] = draws_.add(first + static_cast<uint64_t>(k * run_.index), rows);
    }
    return draws_.draw();
  }

  void write_dense(const Cursor& c, int64_t row, int64_t rows, int64_t columns) {
    if (columns % 64 == 0) return write_one(square_, c, row, rows, columns);
    BitWriter writer(packed_);
    const uint64_t* bits = square_;
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t k = 0; k < columns; k += 64) writer.append(*bits++, static_cast<int>(at_most(columns - k, 64)));
    }
    writer.finish();
    write_one(packed_, c, row, rows, columns);
  }
  void write_one(const uint64_t* bits, const Cursor& c, int64_t row, int64_t rows, int64_t columns) {
    runs_.add(c.x + row * columns, c.y + row * columns, 0, rows * columns);
    runs_.write(bits);
    runs_.clear();
  }

  // For few columns (3 colours).
  void interleave(const uint64_t* bits, const Cursor& c, int64_t first_row, int64_t rows, int64_t columns) {
    constexpr int64_t step = 64 * kMaxColumns / kNarrow;  // rows whose bits fit
    for (int64_t row = 0; row < rows; row += step) {
      const int64_t height = at_most(rows - row, step);
      BitWriter writer(packed_);
      for (int64_t r = 0; r < height; r += 64) {
        uint64_t eights[8];
        call_.isa.interleave(bits, start_, row + r, columns, eights);
        for (int64_t i = 0; i < 8 && r + 8 * i < height; ++i) {
          const int count = static_cast<int>(at_most(height - r - 8 * i, 8) * columns);
          writer.append(eights[i] & ~uint64_t{0} >> (64 - count), count);
        }
      }
      writer.finish();
      write_one(packed_, c, first_row + row, height, columns);
    }
  }

  const Call& call_;
  const Across& across_;
  const Dim& run_;
  const bool one_range_, dense_;
  Draws<kTileElements / 64 + kMaxColumns, 64> draws_;
  RunList<kMaxRows> runs_;
  int64_t start_[kMaxColumns];
  uint64_t square_[kMaxColumns + 1];  // 64 rows of decisions; one word more is read
  uint64_t packed_[kMaxColumns + 1];
};

}  // namespace
}  // namespace thinout
