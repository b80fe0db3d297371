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

constexpr int64_t kTileElements = 128 * 1024, kMaxRows = 2048, kMaxColumns = 1024;
constexpr int64_t kNarrow = 8;  // columns that are interleaved, if memory is dense

inline int64_t at_most(int64_t n, int64_t limit) { return n < limit ? n : limit; }
inline int64_t round_up64(int64_t n) { return words_for(n) * 64; }
inline int64_t whole_words(int64_t n) { return n < 64 ? 64 : n / 64 * 64; }

// Wide tiles use memory best, since a row is contiguous; where columns do not start at whole words of 64 decisions,
// tall ones waste fewer of the decisions at their ends.
inline TileShape tile_shape(int64_t rows, const Dim& run, bool aligned) {
  if (!aligned && rows <= kMaxRows && run.index == rows) {
    return {rows, at_most(run.size, at_most(whole_words(kTileElements / rows), kMaxColumns)), true};
  }
  const int64_t columns = at_most(run.size, aligned ? kMaxColumns : 256);
  return {at_most(whole_words(kTileElements / round_up64(columns)), kMaxRows), columns, false};
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
    const uint64_t* bits = draw(call_.index(c), rows, columns);
    Cursor row(across_.dims, first_row);
    if (dense_ && columns <= kNarrow) return interleave(bits, c.x + row.x, c.y + row.y, rows, columns);
    const int64_t stride = words_for(columns);
    for (int64_t r = 0; r < rows; r += 64) {
      const int64_t height = at_most(rows - r, 64);
      for (int64_t k = 0; k < columns; k += 64) {
        call_.isa.transpose(bits, start_ + k, r, at_most(columns - k, 64), square_ + k / 64, stride);
      }
      if (dense_) {
        if (columns % 64) concatenate(height, columns);
        runs_.add(c.x + row.x + r * columns, c.y + row.y + r * columns, 0, height * columns);
        runs_.write(columns % 64 ? packed_ : square_);
      } else {
        for (int64_t i = 0; i < height; ++i, row.advance()) {
          runs_.add(c.x + row.x, c.y + row.y, i * stride * 64, columns);
        }
        runs_.write(square_);
      }
    }
  }

 private:
  // Whether the rows follow each other in memory without gaps (channels last), and make one long run.
  bool is_dense(int64_t columns) const {
    const Dim& rows = across_.dims.dim[0];
    return across_.dims.ndim == 1 && run_.x == 1 && columns == run_.size && rows.x == columns && rows.y == columns;
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

  void concatenate(int64_t rows, int64_t columns) {
    BitWriter writer(packed_);
    const uint64_t* bits = square_;
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t k = 0; k < columns; k += 64) writer.append(*bits++, static_cast<int>(at_most(columns - k, 64)));
    }
    writer.finish();
  }

  // For few columns (3 colours), 8 rows at a time: a byte from each column, transposed, and the gaps closed.
  void interleave(const uint64_t* bits, int64_t x, int64_t y, int64_t rows, int64_t columns) {
    for (int64_t row = 0; row < rows; row += 512) {
      const int64_t height = at_most(rows - row, 512);
      for (int64_t r = 0; r < height; r += 64) {
        uint64_t* eights = square_ + r / 8;
        for (int i = 0; i < 8; ++i) eights[i] = 0;
        for (int64_t k = 0; k < columns; ++k) {
          const uint64_t word = bits_from(bits, start_[k] + row + r);
          for (int i = 0; i < 8; ++i) eights[i] |= (word >> 8 * i & 0xFF) << 8 * k;
        }
      }
      for (int64_t i = 0; i < 64; ++i) square_[i] = close_gaps(transpose8(square_[i]), static_cast<int>(columns));
      BitWriter writer(packed_);
      for (int64_t r = 0; r < height; r += 8) {
        const int count = static_cast<int>(at_most(height - r, 8) * columns);
        writer.append(square_[r / 8] & ~uint64_t{0} >> (64 - count), count);
      }
      writer.finish();
      runs_.add(x + row * columns, y + row * columns, 0, height * columns);
      runs_.write(packed_);
    }
  }
  // Of every byte, the low `width` bits, one after the other.
  static uint64_t close_gaps(uint64_t a, int width) {
    const int gap = 8 - width;
    a = (a & 0x00FF00FF00FF00FFu) | (a & 0xFF00FF00FF00FF00u) >> gap;
    a = (a & 0x0000FFFF0000FFFFu) | (a & 0xFFFF0000FFFF0000u) >> 2 * gap;
    return (a & 0x00000000FFFFFFFFu) | (a & 0xFFFFFFFF00000000u) >> 4 * gap;
  }

  const Call& call_;
  const Across& across_;
  const Dim& run_;
  const bool one_range_, dense_;
  Draws<kTileElements / 64 + kMaxColumns> draws_;
  RunList<64> runs_;
  int64_t start_[kMaxColumns];
  uint64_t square_[kMaxColumns + 1];  // 64 rows of decisions; one word more is read
  uint64_t packed_[kMaxColumns + 1];
};

}  // namespace
}  // namespace thinout
