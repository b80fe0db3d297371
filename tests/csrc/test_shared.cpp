// Masks with shared entries: rows with one decision, blocks that repeat, and both, at every kind of size.
#include "cases.h"
#include "tests.h"

namespace {

std::vector<int64_t> row_major(const std::vector<int64_t>& sizes) {
  std::vector<int64_t> strides(sizes.size());
  int64_t step = 1;
  for (size_t d = sizes.size(); d-- > 0; step *= sizes[d]) strides[d] = step;
  return strides;
}

// Contiguous, with the mask shared along the dimensions where `shared` has an 's'.
Case contiguous(const char* shared, const std::vector<int64_t>& sizes, int64_t first = 0) {
  Case c{shared, sizes, row_major(sizes), row_major(sizes), std::vector<int64_t>(sizes.size()), first};
  int64_t index = 1;
  for (size_t d = sizes.size(); d-- > 0;) {
    c.index[d] = shared[d] == 's' ? 0 : index;
    index *= shared[d] == 's' ? 1 : sizes[d];
  }
  return c;
}

void check_everywhere(const Case& c, const Spec& s) {
  check_all(c, s, 1);
  check_all(c, s, 1, true);
}

// Lengths on either side of a vector, of several, of a word, and of what is read anyway.
void test_rows(const Spec& s) {
  for (int64_t n = 2; n <= 70; ++n) check_everywhere(contiguous("-s", {67, n}, n % 5), s);
  for (int64_t n : {127, 128, 129, 192, 255, 256, 257, 511, 513, 1000}) {
    check_everywhere(contiguous("-s", {65, n}, 61), s);
  }
  for (int64_t rows : {1, 2, 63, 64, 128, 1025, 2100}) {
    for (int64_t n : {3, 16, 17}) check_everywhere(contiguous("-s", {rows, n}, 1), s);
  }
  check<Float32>(contiguous("-s", {3, 70000}, 62), THINOUT_FLOAT32, s, 1);  // more than one task a row
  check<Bfloat16>(contiguous("s", {70001}, 5), THINOUT_BFLOAT16, s, 1);
}

void test_repeated(const Spec& s) {
  for (int64_t n : {1, 2, 3, 5, 7, 16, 31, 33, 63, 64, 65, 100, 128, 401, 1024, 1500}) {
    check_everywhere(contiguous("s-", {37, n}, n % 7), s);
    check_everywhere(contiguous("-s-", {3, 41, n}, n % 3), s);
  }
  for (int64_t repeats : {1, 2, 15, 64, 1000}) check_everywhere(contiguous("s-", {repeats, 3}, 60), s);
  check_everywhere(contiguous("s-s-", {3, 4, 5, 6}), s);
  check_everywhere(contiguous("s--s-", {2, 3, 4, 5, 6}, 63), s);
  check<Float32>(contiguous("s-", {3, 40000}, 33), THINOUT_FLOAT32, s, 1);  // more than a block holds
  check<Float16>(contiguous("-s-", {2, 3, 33000}, 1), THINOUT_FLOAT16, s, 1);
}

void test_both(const Spec& s) {
  for (int64_t n : {2, 3, 8, 11, 16, 63, 64, 65, 200}) {
    check_everywhere(contiguous("s-s", {9, 21, n}, n % 4), s);
    check_everywhere(contiguous("-s-s", {3, 9, 12, n}, n % 9), s);
    check_everywhere(contiguous("-s-s-s", {2, 3, 5, 2, 3, n}), s);
  }
  check<Float32>(contiguous("s-s", {2, 5000, 9}, 3), THINOUT_FLOAT32, s, 1);  // more than a block holds
}

// Gaps between rows, an expanded input, a mask of a larger whole, and indices beyond 32 bits of blocks.
void test_other_strides(const Spec& s) {
  for (int64_t n : {3, 16, 40, 200}) {
    for (int64_t first : {int64_t{1}, (int64_t{1} << 34) - 30, (int64_t{1} << 35) - 30}) {
      check_all({"rows with gaps in the input", {70, n}, {n + 3, 1}, {n, 1}, {1, 0}, first}, s, 1);
      check_all({"rows with gaps", {70, n}, {n, 1}, {n + 2, 1}, {1, 0}, first}, s, 1);
      check_all({"rows of a larger whole", {5, 9, n}, {9 * n, n, 1}, {9 * n, n, 1}, {500, 1, 0}, first}, s, 1);
      check_all({"every third decision", {70, n}, {n, 1}, {n, 1}, {3, 0}, first}, s, 1);
      check_all({"expanded row", {70, n}, {0, 1}, {n, 1}, {1, 0}, first}, s, 1);
      check_all({"expanded in the row", {70, n}, {1, 0}, {n, 1}, {1, 0}, first}, s, 1);
      check_all({"expanded repetitions", {70, n}, {0, 1}, {n, 1}, {0, 1}, first}, s, 1);
      check_all({"repetitions with gaps", {70, n}, {n, 1}, {n + 2, 1}, {0, 1}, first}, s, 1);
      check_all({"channels last, channels", {2, n, 35}, {35 * n, 1, n}, {35 * n, 1, n}, {n, 1, 0}, first}, s, 1);
      check_all({"channels last, pixels", {2, n, 35}, {35 * n, 1, n}, {35 * n, 1, n}, {35, 0, 1}, first}, s, 1);
    }
  }
}

void test_threads(const Spec& s) {
  for (int threads : {2, 3}) {
    for (int64_t n : {3, 16, 100, 7001}) {
      check_all(contiguous("-s", {21001 / n, n}, 2), s, threads, true);
      check_all(contiguous("s-", {21001 / n, n}, 2), s, threads, true);
      check_all(contiguous("-s-", {3, 7001 / n, n}, 2), s, threads, true);
      check_all(contiguous("s-s", {3, 7001 / n, n}, 2), s, threads, true);
    }
  }
}

// Above the size at which stores go around the caches: the decisions of single rows, and of one repetition, hold for all.
void test_large() {
  const Spec s;
  for (int64_t n : {16, 48, 49, 1024, 5000}) {
    const int64_t rows = (int64_t{26} << 20) / 4 / n, sizes[] = {rows, n}, strides[] = {n, 1}, by_row[] = {1, 0};
    const int64_t by_column[] = {0, 1};
    std::vector<float> x(size_t(rows * n), 1.5f), y(x.size() + 32);
    const float kept = 1.5f * float(s.scale);
    for (int64_t shift : {0, 3}) {
      float* out = y.data() + (16 - reinterpret_cast<uintptr_t>(y.data()) / 4 % 16) % 16 + shift;
      if (out + rows * n > y.data() + y.size()) continue;
      std::vector<uint8_t> mask(size_t(rows > n ? rows : n));
      thinout_mask(mask.data(), int64_t(mask.size()), 0, s.key, s.offset, s.threshold, 0, 1);
      for (const int64_t* index : {by_row, by_column}) {
        CHECK(thinout_dropout_strided(x.data(), out, 0, 2, sizes, strides, strides, index, 0, s.key, s.offset,
                                      s.threshold, 0, s.scale, 2) == 0,
              "status");
        for (int64_t i = 0; i < rows * n; ++i) {
          if (out[i] == (mask[size_t(index == by_row ? i / n : i % n)] ? kept : 0)) continue;
          CHECK(false, "%s large, %ld a row: element %ld", thinout_isa(), long(n), long(i));
          return;
        }
      }
    }
  }
}

}  // namespace

void test_shared() {
  Spec wide;
  wide.wide = 1;
  wide.threshold = 1288490189;
  test_large();
  for (const Spec& s : {Spec{}, wide}) {
    test_rows(s);
    test_repeated(s);
    test_both(s);
    test_other_strides(s);
    test_threads(s);
  }
}
