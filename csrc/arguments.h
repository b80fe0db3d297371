// What every entry of the C ABI checks.
#pragma once

#include "dropout.h"
#include "stream.h"

namespace thinout {
namespace {

inline int check_threshold(uint64_t threshold, int wide) {
  return threshold == 0 || threshold > (wide ? 0xFFFFFFFFu : 0xFFFFu) ? THINOUT_BAD_THRESHOLD : THINOUT_OK;
}

inline int check_range(int64_t n, int64_t first_index, uint64_t threshold, int wide) {
  if (n < 0) return THINOUT_BAD_SIZE;
  if (first_index < 0 || first_index > INT64_MAX - n) return THINOUT_BAD_INDEX;
  return check_threshold(threshold, wide);
}

inline Stream make_stream(uint64_t key, uint64_t offset, uint64_t threshold, int wide, double scale) {
  return Stream{key, offset, static_cast<uint32_t>(threshold), wide != 0, scale};
}

}  // namespace
}  // namespace thinout
