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

constexpr int64_t kTileElements = 256 * 1024, kMaxColumns = 512;
constexpr int64_t kMaxRange = 1024;  // rows; with more, a range would have too few columns
constexpr int64_t kNarrow = 8;  // columns that are interleaved, if memory is dense

inline int64_t round_up64(int64_t n) { return words_for(n) * 64; }
inline int64_t whole_words(int64_t n) { return n < 64 ? 64 : n / 64 * 64; }

// Wide tiles use memory best, since a row is contiguous; where columns do not start at whole words of 64 decisions,
// tall ones waste fewer of the decisions at their ends. `share` is what a tile should have at most, for many of them.
inline TileShape tile_shape(int64_t rows, const Dim& run, bool aligned, int64_t share) {
  const int64_t elements = at_most(share, kTileElements);
  if (!aligned && rows <= kMaxRange && run.index == rows) {
    return {rows, at_most(run.size, at_most(whole_words(elements / rows), kMaxColumns)), true};
  }
  const int64_t columns = at_most(run.size, aligned ? kMaxColumns : 256);
  if (columns <= kNarrow) return {whole_words(elements / kNarrow), columns, false};
  // A column's decisions in one cache line: with more, the lines of 64 columns fall together in the L1 cache.
  const int64_t fitting = at_most(elements, kTileElements / (aligned ? 4 : 2)) / round_up64(columns);
  return {whole_words(at_most(fitting, 512)), columns, false};
}

// Rows of decisions for consecutive rows of `across`, written at their places in memory.
class RowWriter {
 public:
  RowWriter(const Call& call, const Across& across, const Dim& run) : across_(across), runs_(call, run.x) {}

  // `square` has `step` decisions a row, which lies at x and y beside what `row` says. That is moved on.
  void write(const uint64_t* square, int64_t step, int64_t x, int64_t y, int64_t columns, Cursor& row, int64_t rows,
             Drawing& drawing) {
    const int last = across_.dims.ndim - 1;
    const Dim& inner = across_.dims.dim[last];
    for (int64_t r = 0, count; r < rows; r += count) {
      count = at_most(inner.size - row.at[last], rows - r);
      runs_.add(x + row.x, y + row.y, r * step, columns, inner, step, count);
      row.skip(count);
    }
    runs_.write(square, drawing);
    runs_.clear();
  }
  // All of it as one run, for rows that follow each other in memory.
  void write_one(const uint64_t* bits, int64_t x, int64_t y, int64_t n, Drawing& drawing) {
    runs_.add(x, y, 0, n);
    runs_.write(bits, drawing);
    runs_.clear();
  }

 private:
  const Across& across_;
  RunList<64> runs_;
};

// Appends 64 rows of `width` <= 32 bits, as many at once as fit into a word; overwrites them.
inline void append_short(BitWriter& writer, uint64_t* row, int width) {
  int count = 64;
  for (; 2 * width <= 64; width *= 2, count /= 2) {
    for (int i = 0; i < count / 2; ++i) row[i] = row[2 * i] | row[2 * i + 1] << width;
  }
  for (int i = 0; i < count; ++i) writer.append(row[i], width);
}

// Tiles, one after the other: while one is written, the decisions of the next are drawn.
class Tiles {
 public:
  Tiles(const Call& call, const Across& across, const Dim& run, const TileShape& shape)
      : call_(call),
        across_(across),
        run_(run),
        one_range_(shape.one_range),
        dense_(is_dense(shape.columns)),
        rows_(call, across, run) {}

  // `c` is at the tile's first column and, in mask indices alone, at its first row.
  void add(const Cursor& c, int64_t first_row, int64_t rows, int64_t columns) {
    Tile& tile = tile_[next_];
    tile = {c.x, c.y, first_row, rows, columns};
    plan(call_.index(c), rows, columns);
    turn();
  }
  void finish() {
    turn();
    call_.finish();
  }

 private:
  struct Tile {
    int64_t x, y, first_row, rows = 0, columns;  // x and y: the place of the first column in row 0
  };

  // Whether the rows follow each other in memory without gaps (channels last), and make one long run.
  bool is_dense(int64_t columns) const {
    const Dim& rows = across_.dims.dim[0];
    return across_.dims.ndim == 1 && run_.x == 1 && columns == run_.size && rows.x == columns && rows.y == columns;
  }

  void plan(uint64_t first, int64_t rows, int64_t columns) {
    int64_t* start = start_[next_];
    if (one_range_) {
      start[0] = draws_[next_].add(first, rows * columns);
      for (int64_t k = 1; k < columns; ++k) start[k] = start[0] + k * rows;
    } else {
      for (int64_t k = 0; k < columns; ++k) {
        start[k] = draws_[next_].add(first + static_cast<uint64_t>(k * run_.index), rows);
      }
    }
  }

  // Writes the tile that is ready, draws the one that was added.
  void turn() {
    draws_[next_].start(call_.stream, drawing_);
    next_ = 1 - next_;
    Tile& tile = tile_[next_];
    if (tile.rows > 0) write(tile, drawing_);
    tile.rows = 0;
    call_.isa.bits(drawing_);
  }

  void write(const Tile& tile, Drawing& drawing) {
    if (dense_ && tile.columns <= kNarrow) return interleave(tile, drawing);
    const int64_t stride = words_for(tile.columns);
    Cursor row(across_.dims, tile.first_row);
    for (int64_t r = 0; r < tile.rows; r += 64) {
      const int64_t height = at_most(tile.rows - r, 64);
      for (int64_t k = 0; k < tile.columns; k += 64) {
        call_.isa.transpose(draws_[next_].bits(), start_[next_] + k, r, at_most(tile.columns - k, 64), square_ + k / 64,
                            stride);
      }
      if (dense_)
        write_dense(tile, r, height, drawing);
      else
        rows_.write(square_, stride * 64, tile.x, tile.y, tile.columns, row, height, drawing);
    }
  }

  void write_dense(const Tile& tile, int64_t row, int64_t rows, Drawing& drawing) {
    if (tile.columns % 64 == 0) return write_one(square_, tile, row, rows, drawing);
    BitWriter writer(packed_);
    if (tile.columns <= 32) {
      append_short(writer, square_, static_cast<int>(tile.columns));
    } else {
      const uint64_t* bits = square_;
      for (int64_t r = 0; r < rows; ++r) {
        for (int64_t k = 0; k < tile.columns; k += 64) {
          writer.append(*bits++, static_cast<int>(at_most(tile.columns - k, 64)));
        }
      }
    }
    writer.finish();
    write_one(packed_, tile, row, rows, drawing);
  }
  void write_one(const uint64_t* bits, const Tile& tile, int64_t row, int64_t rows, Drawing& drawing) {
    const int64_t place = (tile.first_row + row) * tile.columns;
    rows_.write_one(bits, tile.x + place, tile.y + place, rows * tile.columns, drawing);
  }

  // For few columns (3 colours).
  void interleave(const Tile& tile, Drawing& drawing) {
    constexpr int64_t step = 256;  // rows: a pause that memory does not notice
    for (int64_t row = 0; row < tile.rows; row += step) {
      const int64_t height = at_most(tile.rows - row, step);
      uint64_t* out = packed_;
      for (int64_t r = 0; r < height; r += 64, out += tile.columns) {
        call_.isa.interleave(draws_[next_].bits(), start_[next_], row + r, tile.columns, out);
      }
      write_one(packed_, tile, row, height, drawing);
    }
  }

  const Call& call_;
  const Across& across_;
  const Dim& run_;
  const bool one_range_, dense_;
  Drawing drawing_;
  int next_ = 0;  // of the two halves of what follows, which is being filled
  Tile tile_[2];
  Draws<kMaxColumns, kTileElements / 64 + kMaxColumns> draws_[2];  // every column may begin within a word
  int64_t start_[2][kMaxColumns];
  RowWriter rows_;
  uint64_t square_[kMaxColumns + 1];  // 64 rows of decisions; one word more is read
  uint64_t packed_[kMaxColumns + 1];
};

}  // namespace
}  // namespace thinout
