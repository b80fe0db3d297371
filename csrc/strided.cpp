// The C ABI for strided memory. The innermost dimension of the output, "the run", decides how the work is done:
//   mask index in steps of 1   contiguous kernel; or bits drawn once and used for every row that shares them
//   mask index the same        one decision for the whole run: scale it or clear it
//   else, another dimension    tiles: bits drawn along that dimension, transposed, used along the run
//   has steps of 1
//   else                       bits one by one
#include <cstring>

#include "arguments.h"
#include "bits.h"
#include "flat.h"
#include "layout.h"
#include "parallel.h"

namespace thinout {
namespace {

constexpr int64_t kRun = 2048;   // elements of a run that are treated at a time
constexpr int64_t kTile = 256;   // side of a transposed tile
constexpr int64_t kTileWords = kTile / 64;

struct Call {
  const Kernels& isa;
  const Stream& stream;
  const char* x;  // null for a mask
  char* y;
  int type;
  int64_t first_index;

  int64_t bytes() const { return kElementBytes[type]; }
  uint64_t index(const Cursor& c) const { return static_cast<uint64_t>(first_index + c.index); }
  char* out(int64_t offset) const { return y + offset * bytes(); }
};

// Pieces of one run in consecutive memory: where the input has another stride there, they are copied together.
class Input {
 public:
  Input(const Call& call, int64_t stride) : call_(call), stride_(stride) {}
  const void* at(int64_t offset, int64_t n) {
    if (!call_.x) return nullptr;
    const char* from = call_.x + offset * call_.bytes();
    if (stride_ == 1 || n == 1) return from;
    if (call_.bytes() == 8) gather<uint64_t>(from, n);
    else if (call_.bytes() == 4) gather<uint32_t>(from, n);
    else gather<uint16_t>(from, n);
    return buffer_;
  }

 private:
  template <class T> void gather(const char* from, int64_t n) {
    for (int64_t i = 0; i < n; ++i) {
      std::memcpy(buffer_ + i * static_cast<int64_t>(sizeof(T)), from + i * stride_ * static_cast<int64_t>(sizeof(T)), sizeof(T));
    }
  }
  const Call& call_;
  const int64_t stride_;
  alignas(64) char buffer_[kRun * 8];
};

// Splits the run into pieces of at most `step`: a new dimension of pieces, at the end of the walk.
Dim pieces(const Dim& run, int64_t step) {
  return {(run.size + step - 1) / step, step * run.x, step * run.y, step * run.index};
}
int64_t piece_size(const Dim& run, int64_t step, int64_t piece) {
  return run.size - piece * step < step ? run.size - piece * step : step;
}

// Runs in which the mask index goes up by 1. Dimensions that share the mask are walked innermost, so that the bits of a
// piece are drawn once for all of them.
void run_steps_of_one(const Call& call, Layout outer, const Dim& run, int num_threads) {
  Layout walk, shared;
  for (int d = 0; d < outer.ndim; ++d) (outer.dim[d].index ? walk : shared).append(outer.dim[d]);
  const int piece_dim = walk.ndim;
  walk.append(pieces(run, kRun));
  for (int d = 0; d < shared.ndim; ++d) walk.append(shared.dim[d]);
  const auto flat = call.isa.flat[call.type];
  const auto select = call.isa.select[call.type];
  parallel(walk.count(), outer.num_elements, num_threads, [&](int64_t begin, int64_t end) {
    Input input(call, run.x);
    Cursor c(walk, begin);
    uint64_t bits[kRun / 64 + 1], drawn = ~uint64_t{0};
    for (int64_t i = begin; i < end; ++i, c.advance()) {
      const int64_t n = piece_size(run, kRun, c.at[piece_dim]);
      const void* x = input.at(c.x, n);
      if (shared.ndim == 0) {
        flat(call.stream, x, call.out(c.y), n, call.index(c), false);
        continue;
      }
      if (drawn != call.index(c)) range_bits(call.isa, call.stream, drawn = call.index(c), n, bits);
      select(bits, x, call.out(c.y), n, call.stream.scale);
    }
  });
}

// Runs in which all elements have the same mask index.
void run_shared(const Call& call, Layout walk, const Dim& run, int num_threads) {
  walk.append(pieces(run, kRun));
  parallel(walk.count(), walk.num_elements, num_threads, [&](int64_t begin, int64_t end) {
    uint64_t all[kRun / 64];
    std::memset(all, 0xFF, sizeof all);
    Input input(call, run.x);
    OneByOne decisions(call.isa, call.stream);
    Cursor c(walk, begin);
    for (int64_t i = begin; i < end; ++i, c.advance()) {
      const int64_t n = piece_size(run, kRun, c.at[walk.ndim - 1]);
      if (decisions.kept(call.index(c))) call.isa.select[call.type](all, input.at(c.x, n), call.out(c.y), n, call.stream.scale);
      else std::memset(call.out(c.y), 0, static_cast<size_t>(n * call.bytes()));
    }
  });
}

// Runs with any other step, and no dimension with steps of 1 beside them.
void run_any(const Call& call, Layout walk, const Dim& run, int num_threads) {
  walk.append(pieces(run, kRun));
  parallel(walk.count(), walk.num_elements, num_threads, [&](int64_t begin, int64_t end) {
    Input input(call, run.x);
    OneByOne decisions(call.isa, call.stream);
    Cursor c(walk, begin);
    for (int64_t i = begin; i < end; ++i, c.advance()) {
      const int64_t n = piece_size(run, kRun, c.at[walk.ndim - 1]);
      uint64_t bits[kRun / 64] = {};
      for (int64_t k = 0; k < n; ++k) {
        bits[k / 64] |= uint64_t{decisions.kept(call.index(c) + static_cast<uint64_t>(k * run.index))} << (k % 64);
      }
      call.isa.select[call.type](bits, input.at(c.x, n), call.out(c.y), n, call.stream.scale);
    }
  });
}

// A tile: rows along `across` (mask index in steps of 1), columns along the run.
class Tile {
 public:
  Tile(const Call& call, const Dim& across, const Dim& run) : call_(call), across_(across), run_(run), input_(call, run.x) {}

  void apply(const Cursor& c, int64_t rows, int64_t columns) {
    draw(call_.index(c), rows, columns);
    const bool dense = run_.x == 1 && columns == run_.size && across_.x == columns && across_.y == columns;
    if (dense) return apply_dense(c, rows, columns);
    for (int64_t r = 0; r < rows; ++r) {
      const void* x = input_.at(c.x + r * across_.x, columns);
      call_.isa.select[call_.type](bits_[r], x, call_.out(c.y + r * across_.y), columns, call_.stream.scale);
    }
  }

 private:
  // The rows follow each other in memory without gaps: one long run.
  void apply_dense(const Cursor& c, int64_t rows, int64_t columns) {
    uint64_t packed[kTile * kTileWords + 1];
    BitWriter writer(packed);
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t k = 0; k < columns; k += 64) {
        writer.append(bits_[r][k / 64], static_cast<int>(columns - k < 64 ? columns - k : 64));
      }
    }
    call_.isa.select[call_.type](packed, input_.at(c.x, rows * columns), call_.out(c.y), rows * columns, call_.stream.scale);
  }

  // bits_[row] = decisions of the row's columns, drawn column by column.
  void draw(uint64_t first, int64_t rows, int64_t columns) {
    uint64_t drawn[64][kTileWords + 1], square[64];
    for (int64_t column = 0; column < columns; column += 64) {
      const int64_t width = columns - column < 64 ? columns - column : 64;
      for (int64_t k = 0; k < width; ++k) {
        range_bits(call_.isa, call_.stream, first + static_cast<uint64_t>((column + k) * run_.index), rows, drawn[k]);
      }
      for (int64_t w = 0; w < words_for(rows); ++w) {
        for (int64_t k = 0; k < 64; ++k) square[k] = k < width ? drawn[k][w] : 0;
        transpose64(square);
        for (int64_t k = 0; k < 64; ++k) bits_[64 * w + k][column / 64] = square[k];
      }
    }
  }

  const Call& call_;
  const Dim &across_, &run_;
  Input input_;
  uint64_t bits_[kTile][kTileWords];
};

void run_transposed(const Call& call, Layout walk, const Dim& across, const Dim& run, int num_threads) {
  const int first = walk.ndim;
  walk.append(pieces(across, kTile));
  walk.append(pieces(run, kTile));
  parallel(walk.count(), walk.num_elements, num_threads, [&](int64_t begin, int64_t end) {
    Tile tile(call, across, run);
    Cursor c(walk, begin);
    for (int64_t i = begin; i < end; ++i, c.advance()) {
      tile.apply(c, piece_size(across, kTile, c.at[first]), piece_size(run, kTile, c.at[first + 1]));
    }
  });
}

int find_steps_of_one(const Layout& layout) {
  for (int d = 0; d < layout.ndim; ++d) {
    if (layout.dim[d].index == 1) return d;
  }
  return -1;
}

void run_strided(const Call& call, Layout layout, int num_threads) {
  const Dim run = layout.remove(layout.ndim - 1);
  if (layout.ndim == 0 && run.x == 1 && run.index == 1) {
    return run_flat(call.stream, call.x, call.y, run.size, call.type, call.first_index, num_threads);
  }
  if (run.index == 1) return run_steps_of_one(call, layout, run, num_threads);
  if (run.index == 0) return run_shared(call, layout, run, num_threads);
  const int across = find_steps_of_one(layout);
  if (across < 0) return run_any(call, layout, run, num_threads);
  const Dim rows = layout.remove(across);
  run_transposed(call, layout, rows, run, num_threads);
}

}  // namespace
}  // namespace thinout

using namespace thinout;

extern "C" {

int thinout_dropout_strided(const void* x, void* y, int dtype, int ndim, const int64_t* sizes, const int64_t* x_strides,
                            const int64_t* y_strides, const int64_t* index_strides, int64_t first_index, uint64_t key,
                            uint64_t offset, uint64_t threshold, int wide, double scale, int num_threads) {
  Layout layout;
  if (dtype < 0 || dtype >= kMask) return THINOUT_BAD_DTYPE;
  if (ndim > 0 && !x_strides) return THINOUT_BAD_POINTER;
  if (const int status = check_threshold(threshold, wide)) return status;
  if (const int status = read_layout(layout, ndim, sizes, x_strides, y_strides, index_strides, first_index)) return status;
  if (layout.num_elements == 0) return THINOUT_OK;
  if (!x || !y) return THINOUT_BAD_POINTER;
  const Stream stream = make_stream(key, offset, threshold, wide, scale);
  run_strided({kernels(), stream, static_cast<const char*>(x), static_cast<char*>(y), dtype, first_index}, layout, num_threads);
  return THINOUT_OK;
}

int thinout_mask_strided(uint8_t* mask, int ndim, const int64_t* sizes, const int64_t* mask_strides,
                         const int64_t* index_strides, int64_t first_index, uint64_t key, uint64_t offset,
                         uint64_t threshold, int wide, int num_threads) {
  Layout layout;
  if (const int status = check_threshold(threshold, wide)) return status;
  if (const int status = read_layout(layout, ndim, sizes, nullptr, mask_strides, index_strides, first_index)) return status;
  if (layout.num_elements == 0) return THINOUT_OK;
  if (!mask) return THINOUT_BAD_POINTER;
  const Stream stream = make_stream(key, offset, threshold, wide, 1.0);
  run_strided({kernels(), stream, nullptr, reinterpret_cast<char*>(mask), kMask, first_index}, layout, num_threads);
  return THINOUT_OK;
}

}  // extern "C"
