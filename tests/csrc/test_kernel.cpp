// Tests of the C library without a framework: prints what failed, ends with status 1 if anything did.
#include <string>

#include "dropout.h"
#include "oracle.h"
#include "tests.h"

namespace {

std::vector<std::string> forms() {
  std::vector<std::string> names(1);
  for (const char* c = thinout_isa_available(); *c; ++c) {
    if (*c == ',')
      names.emplace_back();
    else
      names.back() += *c;
  }
  return names;
}

// kat_vectors of Random123 for philox4x32 with 10 rounds.
void test_known_answers() {
  const struct {
    uint64_t low, high, key;
    uint32_t want[4];
  } cases[] = {
      {0, 0, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
      {~0ull, ~0ull, ~0ull, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
      {0x85a308d3243f6a88, 0x0370734413198a2e, 0x299f31d0a4093822, {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
  };
  for (const auto& c : cases) {
    const Block got = philox(c.low, c.high, c.key);
    CHECK(std::memcmp(got.word, c.want, 16) == 0, "philox gives %08x %08x", got.word[0], got.word[1]);
    // The library shows decisions only: each lane's value is the largest threshold at which the lane is kept.
    for (int lane = 0; lane < 8 && c.low < 1ull << 60; ++lane) {
      const uint32_t value = (c.want[lane / 2] >> 16 * (lane % 2) & 0xFFFF) ^ 0x8000;
      for (uint32_t t : {value, value + 1}) {
        if (t == 0 || t > 0xFFFF) continue;
        uint8_t keep = 2;
        thinout_mask(&keep, 1, int64_t(c.low * 8 + uint64_t(lane)), c.key, c.high, t, 0, 1);
        CHECK(keep == (t == value), "lane %d at threshold %u", lane, t);
      }
    }
  }
}

template <class F>
void check_flat(int dtype, const Spec& s, int64_t n, int64_t first, int threads, bool in_place) {
  const auto x = samples<F>(n);
  Guarded<typename F::S> y(n, first % 3);
  if (in_place && n) std::memcpy(y.begin(), x.data(), size_t(n) * sizeof(typename F::S));
  const void* in = in_place ? y.begin() : x.data();
  const int status =
      thinout_dropout(in, y.begin(), n, dtype, first, s.key, s.offset, s.threshold, s.wide, s.scale, threads);
  CHECK(status == 0, "status %d", status);
  CHECK(y.intact(), "%s dtype %d n %ld: wrote outside", thinout_isa(), dtype, long(n));
  for (int64_t i = 0; i < n; ++i) {
    const auto want = kept(s, uint64_t(first + i)) ? scaled<F>(x[size_t(i)], s.scale) : typename F::S{};
    if (same<F>(want, y[i])) continue;
    CHECK(false, "%s dtype %d n %ld first %ld wide %d threads %d: element %ld of value %g is %g, not %g", thinout_isa(),
          dtype, long(n), long(first), s.wide, threads, long(i), F::value(x[size_t(i)]), F::value(y[i]),
          F::value(want));
    return;
  }
}

void check_mask(const Spec& s, int64_t n, int64_t first, int threads) {
  Guarded<uint8_t> mask(n, first % 5);
  CHECK(thinout_mask(mask.begin(), n, first, s.key, s.offset, s.threshold, s.wide, threads) == 0, "status");
  CHECK(mask.intact(), "%s mask n %ld: wrote outside", thinout_isa(), long(n));
  for (int64_t i = 0; i < n; ++i) {
    if (mask[i] == kept(s, uint64_t(first + i))) continue;
    CHECK(false, "%s mask n %ld first %ld wide %d: element %ld", thinout_isa(), long(n), long(first), s.wide, long(i));
    return;
  }
}

void check_flat_all(const Spec& s, int64_t n, int64_t first, int threads) {
  for (bool in_place : {false, true}) {
    check_flat<Float32>(THINOUT_FLOAT32, s, n, first, threads, in_place);
    check_flat<Float64>(THINOUT_FLOAT64, s, n, first, threads, in_place);
    check_flat<Bfloat16>(THINOUT_BFLOAT16, s, n, first, threads, in_place);
    check_flat<Float16>(THINOUT_FLOAT16, s, n, first, threads, in_place);
  }
  check_mask(s, n, first, threads);
}

Spec wide_spec() {
  Spec s;
  s.wide = 1;
  s.threshold = 1288490189;  // 0.3 * 2^32
  return s;
}

void test_flat() {
  for (const Spec& s : {Spec{}, wide_spec()}) {
    for (int64_t n : {0, 1, 2, 7, 8, 9, 63, 64, 65, 127, 255, 256, 257, 1000}) {
      for (int64_t first : {0, 1, 8, 63, 64, 1001}) check_flat_all(s, n, first, 1);
    }
    for (int threads : {2, 3}) check_flat_all(s, 20000, 3, threads);
  }
}

// Where the low word of the block number wraps, in both formats, and the last index that there is.
void test_far_indices() {
  for (const Spec& s : {Spec{}, wide_spec()}) {
    for (int shift : {32, 34, 35, 40}) {
      check_flat_all(s, 1500, (int64_t{1} << shift) - 700, 1);
      check_flat_all(s, 600, (int64_t{1} << shift) - 256, 1);
    }
    check_flat_all(s, 100, INT64_MAX - 100, 1);
  }
}

void test_extreme_thresholds() {
  for (int wide : {0, 1}) {
    for (uint64_t t : {uint64_t{1}, uint64_t{32768}, uint64_t{32769}, uint64_t{wide ? 0xFFFFFFFFu : 0xFFFFu}}) {
      Spec s;
      s.wide = wide;
      s.threshold = t;
      s.key = ~0ull;
      s.offset = ~0ull;
      check_flat_all(s, 700, 5, 1);
    }
  }
}

// Above the size at which the stores go around the caches; compared with the same work in pieces.
void test_large() {
  const int64_t n = (int64_t{26} << 20) / 4, piece = 100003;
  const Spec s;
  std::vector<float> x(size_t(n), 1.5f), whole(size_t(n) + 16), pieces(size_t(n) + 16);
  for (int64_t start : {0, 1, 5}) {  // aligned to a cache line or not
    thinout_dropout(x.data(), whole.data() + start, n, 0, 3, s.key, s.offset, s.threshold, 0, s.scale, 2);
    for (int64_t i = 0; i < n; i += piece) {
      const int64_t count = n - i < piece ? n - i : piece;
      thinout_dropout(x.data() + i, pieces.data() + start + i, count, 0, 3 + i, s.key, s.offset, s.threshold, 0,
                      s.scale, 1);
    }
    CHECK(std::memcmp(whole.data() + start, pieces.data() + start, size_t(n) * 4) == 0, "%s start %ld", thinout_isa(),
          long(start));
  }
}

void test_bad_arguments() {
  float x[4] = {1, 2, 3, 4}, y[4] = {5, 6, 7, 8};
  const auto call = [&](const void* in, void* out, int64_t n, int dtype, int64_t first, uint64_t t, int wide) {
    return thinout_dropout(in, out, n, dtype, first, 1, 0, t, wide, 2.0, 1);
  };
  CHECK(call(nullptr, nullptr, 0, 0, 0, 1, 0) == 0, "nothing to do");
  CHECK(call(nullptr, y, 4, 0, 0, 1, 0) == THINOUT_BAD_POINTER, "null input");
  CHECK(call(x, nullptr, 4, 0, 0, 1, 0) == THINOUT_BAD_POINTER, "null output");
  CHECK(call(x, y, 4, 4, 0, 1, 0) == THINOUT_BAD_DTYPE, "dtype 4");
  CHECK(call(x, y, 4, -1, 0, 1, 0) == THINOUT_BAD_DTYPE, "dtype -1");
  CHECK(call(x, y, -1, 0, 0, 1, 0) == THINOUT_BAD_SIZE, "n = -1");
  CHECK(call(x, y, 4, 0, -1, 1, 0) == THINOUT_BAD_INDEX, "first = -1");
  CHECK(call(x, y, 4, 0, INT64_MAX - 3, 1, 0) == THINOUT_BAD_INDEX, "index overflow");
  CHECK(call(x, y, 4, 0, 0, 0, 0) == THINOUT_BAD_THRESHOLD, "threshold 0");
  CHECK(call(x, y, 4, 0, 0, 65536, 0) == THINOUT_BAD_THRESHOLD, "threshold 2^16");
  CHECK(call(x, y, 4, 0, 0, uint64_t{1} << 32, 1) == THINOUT_BAD_THRESHOLD, "threshold 2^32");
  CHECK(thinout_set_isa("none") == THINOUT_BAD_ISA && thinout_set_isa(nullptr) == THINOUT_BAD_ISA, "unknown form");
  CHECK(y[0] == 5 && y[3] == 8, "a refused call wrote");
}

}  // namespace

int main() {
  CHECK(thinout_abi_version() == 2, "version %d", thinout_abi_version());
  test_bad_arguments();
  for (const std::string& form : forms()) {
    CHECK(thinout_set_isa(form.c_str()) == 0 && form == thinout_isa(), "%s", form.c_str());
    const int before = failures;
    test_known_answers();
    test_flat();
    test_far_indices();
    test_extreme_thresholds();
    test_large();
    test_strided();
    test_shared();
    test_fused();
    std::printf("%s: %d failures\n", form.c_str(), failures - before);
  }
  return failures ? 1 : 0;
}
