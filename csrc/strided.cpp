// The C ABI for strided memory. The innermost dimension of the output, "the run", decides how the work is done:
//   mask index in steps of 1   contiguous kernel; or bits drawn once and used for every row that shares them
//   mask index the same        one decision for the whole run: scale it or clear it; short ones as bits an element
//   else, another dimension    tiles: bits drawn along that dimension, transposed, used along the run
//   has steps of 1
//   else                       bits one by one
#include "arguments.h"
#include "memory.h"
#include "parallel.h"
#include "shared.h"
#include "strip.h"

namespace thinout {
namespace {

constexpr int64_t kLongRun = 1024;  // from here on a run is worth a call of the flat kernel

// Long runs with a mask index in steps of 1 that no other runs share.
void run_long(const Call& call, Layout walk, const Dim& run, int num_threads) {
  walk.append(pieces(run, kRun));
  parallel(walk.count(), walk.num_elements, num_threads, [&](int64_t begin, int64_t end) {
    Input input(call, run.x);
    Cursor c(walk, begin);
    for (int64_t i = begin; i < end; ++i, c.advance()) {
      const int64_t n = piece_size(run, kRun, c.at[walk.ndim - 1]);
      const void* x = input.at(call.in(c.x), n);
      call.isa.flat[call.type](call.stream, x, call.out(c.y), n, call.index(c), call.bypass_cache);
    }
  });
}

// The dimension whose steps lead from the mask index of a run's last element to that of another run's first.
int find_next(const Layout& layout, const Dim& run) {
  for (int d = 0; d < layout.ndim; ++d) {
    if (run.index == 1 && layout.dim[d].index == run.size) return d;
  }
  return -1;
}

// Runs with a mask index in steps of 1 or 0. Dimensions that share the mask are walked innermost, so that decisions are
// drawn once for all of them; where one decision holds for a run anyway, memory order is better. Runs whose indices
// follow each other are drawn as one range.
void run_batched(const Call& call, Layout outer, const Dim& run, int num_threads) {
  const int next = find_next(outer, run);
  const Dim repeat = next < 0 ? Dim{1, 0, 0, 0} : outer.dim[next];
  const int64_t repeats = run.size < kRun ? at_most(kRun / run.size, RunBatch::kRows) : 1;  // a block
  if (next >= 0) outer.dim[next] = pieces(repeat, repeats);
  Layout walk, shared;
  int block = -1;
  for (int d = 0; d < outer.ndim; ++d) {
    const bool own = outer.dim[d].index || !run.index;
    if (d == next) block = walk.ndim;
    (own ? walk : shared).append(outer.dim[d]);
  }
  const int piece = walk.ndim;
  walk.append(pieces(run, kRun));
  for (int d = 0; d < shared.ndim; ++d) walk.append(shared.dim[d]);
  parallel(walk.count(), outer.num_elements, num_threads, [&](int64_t begin, int64_t end) {
    RunBatch batch(call, run);
    Cursor c(walk, begin);
    for (int64_t i = begin; i < end; ++i, c.advance()) {
      const int64_t n = piece_size(run, kRun, c.at[piece]);
      if (run.index == 0)
        batch.add_shared(c, n);
      else
        batch.add(c, n, repeat, block < 0 ? 1 : piece_size(repeat, repeats, c.at[block]));
    }
    batch.finish();
  });
}

int64_t gcd(int64_t a, int64_t b) { return b == 0 ? a : gcd(b, a % b); }

// Repetitions of a block that make whole words, and enough of them; blocks follow each other in memory.
int64_t periods_together(int64_t period, int64_t repeats) {
  int64_t together = 64 / gcd(period, 64);
  if (together * period < kLongRun) together *= kLongRun / (together * period);
  return at_most(at_most(together, kPattern / period), repeats);
}

// Blocks of `rows` of `width` elements, which hold one decision, with mask indices in steps of 1: decisions become bits
// for each element, which then serve for all repetitions of the block.
void run_patterns(const Call& call, Layout outer, const Dim& rows, int64_t width, int num_threads) {
  Dim repeat{1, 0, 0, 0};
  for (int d = outer.ndim - 1; d >= 0; --d) {
    if (outer.dim[d].index != 0) continue;
    repeat = outer.remove(d);
    break;
  }
  const bool whole = rows.size * width <= kPattern;
  const int64_t height = whole ? rows.size : kPattern / width / 64 * 64, period = height * width;
  const bool dense = whole && repeat.y == period && (repeat.x == period || !call.x);
  const int64_t together = dense ? periods_together(period, repeat.size) : 1;
  Layout walk;
  for (int d = 0; d < outer.ndim; ++d) walk.append(outer.dim[d]);
  const int piece = walk.ndim;
  walk.append(pieces(rows, height));
  int64_t share = repeat.size;  // repetitions of a task
  if (num_threads > 1) share = (share / (4 * num_threads) + together) / together * together;
  walk.append(pieces(repeat, share));
  parallel(walk.count(), call.num_elements, num_threads, [&](int64_t begin, int64_t end) {
    Pattern pattern(call, width);
    Cursor c(walk, begin);
    for (int64_t i = begin; i < end; ++i, c.advance()) {
      const int64_t count = piece_size(rows, height, c.at[piece]), n = count * width;
      const int64_t repeats = piece_size(repeat, share, c.at[piece + 1]), done = repeats / together * together;
      pattern.prepare(call.index(c), count, together);
      const auto write = [&](int64_t from, int64_t periods, int64_t times) {
        call.isa.repeat[call.type](
            pattern.bits(), pattern.position(),
            call.series(c.x + from * repeat.x, c.y + from * repeat.y, repeat, periods, periods * n, times),
            call.stream.scale, call.bypass_cache);
      };
      write(0, together, repeats / together);
      if (done < repeats) write(done, repeats - done, 1);
    }
    call.finish();
  });
}

constexpr int64_t kRowRows = 1024, kRowElements = 64 * 1024;  // of a task

// Runs with one decision each.
void run_rows(const Call& call, Layout walk, const Dim& run, int num_threads) {
  const Dim rows = walk.ndim ? walk.remove(walk.ndim - 1) : Dim{1, 0, 0, 0};
  const int64_t fitting = run.size < kRowElements ? kRowElements / run.size : 1;
  const int64_t height = rows.index == 1 ? at_most(at_most(fitting, kRowRows), rows.size) : 1;
  const int first = walk.ndim;
  walk.append(pieces(rows, height));
  walk.append(pieces(run, kRowElements));
  parallel(walk.count(), call.num_elements, num_threads, [&](int64_t begin, int64_t end) {
    Decisions<kRowRows> decisions(call);
    Cursor c(walk, begin);
    for (int64_t i = begin; i < end; ++i, c.advance()) {
      const int64_t count = piece_size(rows, height, c.at[first]);
      const int64_t bit = decisions.at(call.index(c), count);
      const int64_t n = piece_size(run, kRowElements, c.at[first + 1]);
      call.isa.rows[call.type](decisions.bits(), bit, call.series(c.x, c.y, rows, 1, n, count),
                               call.stream.scale, call.bypass_cache);
    }
    call.finish();
  });
}

template <class Work>
void run_tiles(const Call& call, Layout walk, const Across& across, const Dim& run, const TileShape& shape,
               int num_threads) {
  const Dim rows{across.size(), 0, 0, 1};  // where in memory a row lies is the tile's matter
  const int first = walk.ndim;
  walk.append(pieces(rows, shape.rows));
  walk.append(pieces(run, shape.columns));
  parallel(walk.count(), walk.num_elements, num_threads, [&](int64_t begin, int64_t end) {
    Work work(call, across, run, shape);
    Cursor c(walk, begin);
    for (int64_t i = begin; i < end; ++i, c.advance()) {
      work.add(c, c.at[first] * shape.rows, piece_size(rows, shape.rows, c.at[first]),
               piece_size(run, shape.columns, c.at[first + 1]));
    }
    work.finish();
  });
}

void run_transposed(const Call& call, const Layout& walk, const Across& across, const Dim& run, int num_threads) {
  int64_t indices = call.first_index | run.index;
  for (int d = 0; d < walk.ndim; ++d) indices |= walk.dim[d].index;
  const int64_t rows = across.size(), quarter = walk.num_elements / 4;
  const int64_t share = num_threads > 1 ? quarter / num_threads : walk.num_elements;
  const bool aligned = indices % 64 == 0;
  const TileShape strips = strips_shape(rows, run, aligned, run.x == 1 || !call.x, share);
  if (strips.rows > 0) return run_tiles<Strips>(call, walk, across, run, strips, num_threads);
  const TileShape tiles = tile_shape(rows, run, aligned, at_most(share, quarter));
  run_tiles<Tiles>(call, walk, across, run, tiles, num_threads);
}

// Runs with any other step, and no dimension with steps of 1 beside them.
void run_any(const Call& call, Layout walk, const Dim& run, int num_threads) {
  walk.append(pieces(run, 64));
  parallel(walk.count(), walk.num_elements, num_threads, [&](int64_t begin, int64_t end) {
    Input input(call, run.x);
    Draws<64, 64> draws;
    Drawing drawing;
    Cursor c(walk, begin);
    for (int64_t i = begin; i < end; ++i, c.advance()) {
      const int64_t n = piece_size(run, 64, c.at[walk.ndim - 1]);
      int64_t position[64];
      for (int64_t k = 0; k < n; ++k) position[k] = draws.add(call.index(c) + static_cast<uint64_t>(k * run.index), 1);
      draws.start(call.stream, drawing);
      call.isa.bits(drawing);
      uint64_t bits[2] = {};
      for (int64_t k = 0; k < n; ++k) bits[0] |= (bits_from(draws.bits(), position[k]) & 1) << k;
      const Run one{input.at(call.in(c.x), n), call.out(c.y), 0, n};
      call.write(bits, &one, 1, 0, drawing);
    }
    call.finish();
  });
}

// Takes the dimensions whose mask indices count through one range from 0 on.
Across take_across(Layout& layout) {
  Dim chain[kMaxDims];
  int length = 0;
  int64_t step = 1;
  for (int d = 0; d < layout.ndim;) {
    if (layout.dim[d].index != step) {
      ++d;
      continue;
    }
    step *= layout.dim[d].size;
    chain[length++] = layout.remove(d);
    d = 0;
  }
  Across across;
  while (length > 0) across.dims.append(chain[--length]);
  return across;
}

// Whether rows of one decision are better turned into bits: those that fill no vector, and those of a short block that
// repeats.
bool are_rows_short(const Call& call, const Layout& layout, const Dim& run, bool repeated) {
  if (layout.ndim == 0) return false;
  const Dim& rows = layout.dim[layout.ndim - 1];
  const bool dense = rows.index == 1 && rows.y == run.size && (rows.x == run.size || !call.x);
  return dense && (repeated ? run.size <= 64 : run.size < 16 || run.size * call.bytes() < 64);
}

bool has_shared(const Layout& layout) {
  for (int d = 0; d < layout.ndim; ++d) {
    if (layout.dim[d].index == 0) return true;
  }
  return false;
}

void run_strided(const Call& call, Layout layout, int num_threads) {
  const Dim run = layout.remove(layout.ndim - 1);
  if (layout.ndim == 0 && run.x == 1 && run.index == 1) {
    return run_flat(call.stream, call.x, call.y, run.size, call.type, call.first_index, num_threads);
  }
  const bool shared = has_shared(layout);
  if (run.index == 1 && run.size >= kLongRun && !shared) return run_long(call, layout, run, num_threads);
  if (run.x == 1 || !call.x) {
    if (run.index == 1 && shared) return run_patterns(call, layout, run, 1, num_threads);
    if (run.index == 0) {
      if (are_rows_short(call, layout, run, shared)) {
        const Dim rows = layout.remove(layout.ndim - 1);
        return run_patterns(call, layout, rows, run.size, num_threads);
      }
      return run_rows(call, layout, run, num_threads);
    }
  }
  if (run.index <= 1) return run_batched(call, layout, run, num_threads);
  const Across across = take_across(layout);
  if (across.dims.ndim == 0) return run_any(call, layout, run, num_threads);
  run_transposed(call, layout, across, run, num_threads);
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
  if (const int status = read_layout(layout, ndim, sizes, x_strides, y_strides, index_strides, first_index))
    return status;
  if (layout.num_elements == 0) return THINOUT_OK;
  if (!x || !y) return THINOUT_BAD_POINTER;
  const Stream stream = make_stream(key, offset, threshold, wide, scale);
  const int64_t bytes = layout.num_elements * kElementBytes[dtype];
  prepare_output(x, y, bytes);  // dense but for odd strides, of which this covers the first part
  run_strided({kernels(), stream, static_cast<const char*>(x), static_cast<char*>(y), dtype, first_index,
               is_far(bytes), bypasses_cache(x, y, bytes), layout.num_elements},
              layout, num_threads);
  return THINOUT_OK;
}

int thinout_mask_strided(uint8_t* mask, int ndim, const int64_t* sizes, const int64_t* mask_strides,
                         const int64_t* index_strides, int64_t first_index, uint64_t key, uint64_t offset,
                         uint64_t threshold, int wide, int num_threads) {
  Layout layout;
  if (const int status = check_threshold(threshold, wide)) return status;
  if (const int status = read_layout(layout, ndim, sizes, nullptr, mask_strides, index_strides, first_index))
    return status;
  if (layout.num_elements == 0) return THINOUT_OK;
  if (!mask) return THINOUT_BAD_POINTER;
  const Stream stream = make_stream(key, offset, threshold, wide, 1.0);
  run_strided({kernels(), stream, nullptr, reinterpret_cast<char*>(mask), kMask, first_index,
               is_far(layout.num_elements), false, layout.num_elements}, layout,
              num_threads);
  return THINOUT_OK;
}

}  // extern "C"
