// Strided arrays: dimensions in the memory order of the output, merged where possible, and a walk over them.
//
// The mask index is only one more set of strides, so the order of the dimensions is free: sorting them by the output's
// strides turns every layout (channels last, transposed, sharded, broadcast) into a few cases of the innermost one.
#pragma once

#include <cstdint>

#include "dropout.h"

namespace thinout {

constexpr int kMaxDims = 25;  // what torch's iterators take

struct Dim {
  int64_t size, x, y, index;  // the size, and the strides in elements
};

struct Layout {
  int ndim = 0;
  Dim dim[kMaxDims + 2];  // two more for tiles
  int64_t num_elements = 1;

  void append(const Dim& d) { dim[ndim++] = d; }
  Dim remove(int at) {
    const Dim gone = dim[at];
    for (int d = at; d + 1 < ndim; ++d) dim[d] = dim[d + 1];
    --ndim;
    return gone;
  }
  int64_t count() const {
    int64_t product = 1;
    for (int d = 0; d < ndim; ++d) product *= dim[d].size;
    return product;
  }
};

namespace {

inline bool merges(const Dim& outer, const Dim& inner) {
  return outer.x == inner.x * inner.size && outer.y == inner.y * inner.size && outer.index == inner.index * inner.size;
}

inline void sort_and_merge(Layout& layout) {
  for (int i = 1; i < layout.ndim; ++i) {  // by insertion: a handful of dimensions, mostly sorted already
    const Dim moving = layout.dim[i];
    int at = i;
    for (; at > 0 && layout.dim[at - 1].y < moving.y; --at) layout.dim[at] = layout.dim[at - 1];
    layout.dim[at] = moving;
  }
  for (int d = layout.ndim - 2; d >= 0; --d) {
    if (!merges(layout.dim[d], layout.dim[d + 1])) continue;
    layout.dim[d + 1].size *= layout.dim[d].size;
    layout.remove(d);
  }
}

inline bool accumulate(int64_t steps, int64_t stride, int64_t& total) {
  int64_t reach;
  return !__builtin_mul_overflow(steps, stride, &reach) && !__builtin_add_overflow(total, reach, &total);
}

// Fills `layout` from the C arguments; null x_strides (a mask has no input) stands for those of y.
inline int read_layout(Layout& layout, int ndim, const int64_t* sizes, const int64_t* x_strides,
                       const int64_t* y_strides, const int64_t* index_strides, int64_t first_index) {
  if (ndim < 0 || ndim > kMaxDims) return THINOUT_BAD_SIZE;
  if (ndim > 0 && (!sizes || !y_strides || !index_strides)) return THINOUT_BAD_POINTER;
  if (first_index < 0) return THINOUT_BAD_INDEX;
  if (!x_strides) x_strides = y_strides;
  int64_t last_index = first_index;
  for (int d = 0; d < ndim; ++d) {
    if (sizes[d] < 0 || __builtin_mul_overflow(layout.num_elements, sizes[d], &layout.num_elements))
      return THINOUT_BAD_SIZE;
    if (x_strides[d] < 0 || y_strides[d] < 0 || index_strides[d] < 0) return THINOUT_BAD_STRIDE;
    if (sizes[d] > 0 && !accumulate(sizes[d] - 1, index_strides[d], last_index)) return THINOUT_BAD_INDEX;
    if (sizes[d] != 1) layout.append({sizes[d], x_strides[d], y_strides[d], index_strides[d]});
  }
  if (layout.num_elements == 0) return THINOUT_OK;
  sort_and_merge(layout);
  if (layout.ndim == 0) layout.append({1, 1, 1, 1});
  if (layout.dim[layout.ndim - 1].y != 1) return THINOUT_BAD_STRIDE;
  for (int d = 0; d + 1 < layout.ndim; ++d) {  // the output may not overlap itself
    if (layout.dim[d].y < layout.dim[d + 1].y * layout.dim[d + 1].size) return THINOUT_BAD_STRIDE;
  }
  return THINOUT_OK;
}

// A place in the row-major walk over the dimensions of a layout, with its offsets.
struct Cursor {
  const Layout& layout;
  int64_t at[kMaxDims + 2];
  int64_t x = 0, y = 0, index = 0;

  Cursor(const Layout& over, int64_t position) : layout(over) {
    for (int d = layout.ndim - 1; d >= 0; --d) {
      at[d] = position % layout.dim[d].size;
      position /= layout.dim[d].size;
      move(layout.dim[d], at[d]);
    }
  }
  void advance() { skip(1); }
  // So many steps, at most to the end of the innermost dimension.
  void skip(int64_t steps) {
    for (int d = layout.ndim - 1; d >= 0; --d, steps = 1) {
      move(layout.dim[d], steps);
      at[d] += steps;
      if (at[d] < layout.dim[d].size) return;
      move(layout.dim[d], -at[d]);
      at[d] = 0;
    }
  }
  void move(const Dim& d, int64_t steps) {
    x += steps * d.x;
    y += steps * d.y;
    index += steps * d.index;
  }
};

}  // namespace
}  // namespace thinout
