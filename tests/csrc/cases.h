// Strided calls against the scalar oracle, element by element.
#pragma once

#include "dropout.h"
#include "oracle.h"

struct Case {
  const char* what;
  std::vector<int64_t> sizes, x, y, index;
  int64_t first = 0;
};

inline int64_t count(const Case& c) {
  int64_t n = 1;
  for (int64_t size : c.sizes) n *= size;
  return n;
}
inline int64_t reach(const Case& c, const std::vector<int64_t>& strides) {
  int64_t last = 0;
  for (size_t d = 0; d < c.sizes.size(); ++d) last += (c.sizes[d] - 1) * strides[d];
  return last + 1;
}
inline int64_t offset_at(const Case& c, const std::vector<int64_t>& strides, int64_t position) {
  int64_t offset = 0;
  for (size_t d = c.sizes.size(); d-- > 0; position /= c.sizes[d]) offset += position % c.sizes[d] * strides[d];
  return offset;
}

template <class F>
void check(const Case& c, int dtype, const Spec& s, int threads, bool in_place = false) {
  if (count(c) == 0) return;
  const auto x = samples<F>(reach(c, c.x));
  Guarded<typename F::S> y(reach(c, c.y), c.first % 3);
  if (in_place) std::memcpy(y.begin(), x.data(), x.size() * sizeof(typename F::S));
  const int status =
      thinout_dropout_strided(in_place ? y.begin() : x.data(), y.begin(), dtype, int(c.sizes.size()), c.sizes.data(), c.x.data(), c.y.data(),
                              c.index.data(), c.first, s.key, s.offset, s.threshold, s.wide, s.scale, threads);
  CHECK(status == 0, "%s: status %d", c.what, status);
  CHECK(y.intact(), "%s %s: wrote outside", thinout_isa(), c.what);
  for (int64_t i = 0; i < count(c); ++i) {
    const uint64_t index = uint64_t(c.first + offset_at(c, c.index, i));
    const auto value = x[size_t(offset_at(c, c.x, i))];
    const auto want = kept(s, index) ? scaled<F>(value, s.scale) : typename F::S{};
    if (same<F>(want, y[offset_at(c, c.y, i)])) continue;
    CHECK(false, "%s %s dtype %d wide %d threads %d in place %d: element %ld", thinout_isa(), c.what, dtype, s.wide,
          threads, in_place, long(i));
    return;
  }
}

inline void check_mask(const Case& c, const Spec& s, int threads) {
  if (count(c) == 0) return;
  Guarded<uint8_t> mask(reach(c, c.y));
  CHECK(thinout_mask_strided(mask.begin(), int(c.sizes.size()), c.sizes.data(), c.y.data(), c.index.data(), c.first,
                             s.key, s.offset, s.threshold, s.wide, threads) == 0,
        "%s: mask status", c.what);
  CHECK(mask.intact(), "%s %s: mask wrote outside", thinout_isa(), c.what);
  for (int64_t i = 0; i < count(c); ++i) {
    if (mask[offset_at(c, c.y, i)] == kept(s, uint64_t(c.first + offset_at(c, c.index, i)))) continue;
    CHECK(false, "%s %s: mask element %ld", thinout_isa(), c.what, long(i));
    return;
  }
}

inline void check_all(const Case& c, const Spec& s, int threads, bool in_place = false) {
  check<Float32>(c, THINOUT_FLOAT32, s, threads, in_place);
  check<Float64>(c, THINOUT_FLOAT64, s, threads, in_place);
  check<Bfloat16>(c, THINOUT_BFLOAT16, s, threads, in_place);
  check<Float16>(c, THINOUT_FLOAT16, s, threads, in_place);
  check_mask(c, s, threads);
}
