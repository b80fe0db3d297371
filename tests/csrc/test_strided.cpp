// The strided entries against the scalar oracle, element by element, for every case of strided.cpp and at random.
#include <algorithm>

#include "cases.h"
#include "tests.h"

namespace {

const Case kCases[] = {
    {"0-d", {}, {}, {}, {}, 3},
    {"contiguous", {3, 5, 70}, {350, 70, 1}, {350, 70, 1}, {350, 70, 1}, 5},
    {"rows of a larger whole", {9, 70}, {70, 1}, {70, 1}, {500, 1}, 33},
    {"channel mask", {4, 20, 7, 7}, {980, 49, 7, 1}, {980, 49, 7, 1}, {20, 1, 0, 0}, 2},
    {"row mask", {6, 5000}, {5000, 1}, {5000, 1}, {1, 0}, 60},
    {"batch shared", {50, 130}, {130, 1}, {130, 1}, {0, 1}, 7},
    {"time shared", {5, 40, 33}, {1320, 33, 1}, {1320, 33, 1}, {33, 0, 1}, 1},
    {"both ends shared", {4, 70, 9}, {630, 9, 1}, {630, 9, 1}, {0, 1, 0}, 0},
    {"one decision", {40, 70}, {70, 1}, {70, 1}, {0, 0}, 9},
    {"channels last", {2, 70, 9, 11}, {6930, 1, 770, 70}, {6930, 1, 770, 70}, {6930, 99, 11, 1}, 0},
    {"channels last, aligned", {2, 64, 16, 16}, {16384, 1, 1024, 64}, {16384, 1, 1024, 64}, {16384, 256, 16, 1}, 0},
    {"channels last, 3 channels", {2, 3, 31, 9}, {837, 1, 27, 3}, {837, 1, 27, 3}, {837, 279, 9, 1}, 4},
    {"channels last, channel mask", {3, 20, 5, 5}, {500, 1, 100, 20}, {500, 1, 100, 20}, {20, 1, 0, 0}, 0},
    {"channels last, pixel mask", {3, 20, 5, 5}, {500, 1, 100, 20}, {500, 1, 100, 20}, {25, 0, 5, 1}, 0},
    {"transposed", {300, 301}, {1, 300}, {1, 300}, {301, 1}, 11},
    {"transposed input only", {130, 70}, {1, 130}, {70, 1}, {70, 1}, 0},
    {"transposed output only", {130, 70}, {70, 1}, {1, 130}, {70, 1}, 0},
    {"permuted in 4-d", {3, 5, 7, 11}, {1, 231, 33, 3}, {1, 231, 33, 3}, {385, 77, 11, 1}, 1},
    {"heads and time swapped", {2, 3, 40, 16}, {1920, 16, 48, 1}, {1920, 16, 48, 1}, {1920, 640, 16, 1}, 0},
    {"transposed, more than one range", {1100, 70}, {1, 1100}, {1, 1100}, {70, 1}, 3},
    {"transposed, long columns", {70, 1100}, {1, 70}, {1, 70}, {1100, 1}, 3},
    {"transposed, aligned and wide", {600, 128}, {1, 600}, {1, 600}, {128, 1}, 64},
    {"transposed, gaps between rows", {90, 75}, {1, 128}, {1, 130}, {75, 1}, 0},
    {"reversed in 4-d", {40, 3, 7, 5}, {1, 40, 120, 840}, {1, 40, 120, 840}, {105, 35, 5, 1}, 9},
    {"channels last, 8 channels", {2, 8, 600, 2}, {9600, 1, 16, 8}, {9600, 1, 16, 8}, {9600, 1200, 2, 1}, 1},
    {"channels last, 1000 channels", {1, 1000, 9, 9}, {81000, 1, 9000, 1000}, {81000, 1, 9000, 1000},
     {81000, 81, 9, 1}, 0},
    {"channels last, 2 channels", {2, 2, 300}, {600, 1, 2}, {600, 1, 2}, {600, 300, 1}, 0},
    {"channels last, 4 channels", {2, 4, 301}, {1204, 1, 4}, {1204, 1, 4}, {1204, 301, 1}, 63},
    {"channels last, 7 channels", {2, 7, 129}, {903, 1, 7}, {903, 1, 7}, {903, 129, 1}, 0},
    {"channels last, 16 channels", {2, 16, 200}, {3200, 1, 16}, {3200, 1, 16}, {3200, 200, 1}, 0},
    {"channels last, 20 channels", {2, 20, 201}, {4020, 1, 20}, {4020, 1, 20}, {4020, 201, 1}, 9},
    {"strips", {300, 601}, {1, 300}, {1, 300}, {601, 1}, 11},
    {"strips, aligned, gaps between rows", {520, 256}, {1, 530}, {1, 524}, {256, 1}, 128},
    {"strips, input in another order", {1100, 513}, {513, 1}, {1, 1100}, {513, 1}, 1},
    {"strips, rows in two dimensions", {300, 33, 20}, {1, 6300, 310}, {1, 6100, 300}, {660, 20, 1}, 0},
    {"strips, far index", {257, 530}, {1, 257}, {1, 257}, {530, 1}, (int64_t{1} << 35) - 70000},
    {"few columns with gaps", {3, 400}, {1, 4}, {1, 5}, {400, 1}, 2},
    {"heads of an odd width", {2, 3, 40, 17}, {2040, 17, 51, 1}, {2040, 17, 51, 1}, {2040, 680, 17, 1}, 5},
    {"many tiny runs", {3, 900, 3}, {3, 9, 1}, {3, 9, 1}, {2700, 3, 1}, 1},
    {"expanded input", {30, 70}, {0, 1}, {70, 1}, {70, 1}, 0},
    {"expanded along the run", {30, 70}, {1, 0}, {70, 1}, {70, 1}, 0},
    {"every second of the input", {30, 70}, {140, 2}, {70, 1}, {70, 1}, 0},
    {"every third index", {30, 70}, {70, 1}, {70, 1}, {210, 3}, 1},
    {"far index", {3, 70, 5}, {350, 1, 70}, {350, 1, 70}, {350, 5, 1}, (int64_t{1} << 35) - 300},
    {"size one everywhere", {1, 1, 1}, {7, 0, 3}, {5, 5, 5}, {2, 9, 4}, 6},
};

// Random sizes, orders of memory and shared dimensions, from the oracle's own generator.
Case random_case(uint64_t number) {
  const Block b = philox(number, 1, 99);
  const int ndim = 1 + int(b.word[0] % 5);
  Case c{"random",
         {},
         std::vector<int64_t>(size_t(ndim)),
         std::vector<int64_t>(size_t(ndim)),
         std::vector<int64_t>(size_t(ndim)),
         b.word[1] % 200};
  std::vector<std::pair<uint32_t, size_t>> order;
  for (int d = 0; d < ndim; ++d) {
    const Block e = philox(number, uint64_t(2 + d), 99);
    const int64_t limit = ndim <= 2 ? 300 : ndim == 3 ? 40 : 9;
    c.sizes.push_back(1 + e.word[0] % limit);
    order.emplace_back(e.word[1], size_t(d));
  }
  std::sort(order.begin(), order.end());
  int64_t y = 1, x = 1, index = 1;
  for (const auto& [unused, d] : order) {
    c.y[d] = y;
    y *= c.sizes[d];
  }
  if (b.word[2] % 2) std::rotate(order.begin(), order.begin() + 1, order.end());
  for (const auto& [draw, d] : order) {
    const bool expanded = draw % 5 == 0;
    c.x[d] = expanded ? 0 : x;
    x *= expanded ? 1 : c.sizes[d] + draw % 2;
  }
  for (size_t d = size_t(ndim); d-- > 0;) {
    const bool shared = philox(number, 50 + d, 99).word[0] % 4 == 0;
    c.index[d] = shared ? 0 : index;
    index *= shared ? 1 : c.sizes[d];
  }
  return c;
}

void test_bad_arguments() {
  float x[6] = {}, y[6] = {};
  const int64_t two_three[] = {2, 3}, rows[] = {3, 1}, negative[] = {-1, 1}, overlap[] = {2, 1}, gaps[] = {6, 2};
  const int64_t none[] = {2, 0}, below[] = {2, -3}, far[] = {INT64_MAX, 1}, many[26] = {};
  const auto call = [&](int ndim, const int64_t* sizes, const int64_t* xs, const int64_t* ys, const int64_t* is) {
    return thinout_dropout_strided(x, y, 0, ndim, sizes, xs, ys, is, 0, 1, 0, 100, 0, 1.0, 1);
  };
  CHECK(call(2, two_three, rows, rows, rows) == 0, "a good call");
  CHECK(call(2, none, rows, rows, rows) == 0, "nothing to do");
  CHECK(call(26, many, many, many, many) == THINOUT_BAD_SIZE, "26 dimensions");
  CHECK(call(-1, two_three, rows, rows, rows) == THINOUT_BAD_SIZE, "-1 dimensions");
  CHECK(call(2, below, rows, rows, rows) == THINOUT_BAD_SIZE, "negative size");
  CHECK(call(2, nullptr, rows, rows, rows) == THINOUT_BAD_POINTER, "no sizes");
  CHECK(call(2, two_three, nullptr, rows, rows) == THINOUT_BAD_POINTER, "no strides");
  CHECK(call(2, two_three, negative, rows, rows) == THINOUT_BAD_STRIDE, "negative stride");
  CHECK(call(2, two_three, rows, overlap, rows) == THINOUT_BAD_STRIDE, "output overlaps itself");
  CHECK(call(2, two_three, rows, gaps, rows) == THINOUT_BAD_STRIDE, "no dimension of stride 1");
  const int64_t three_two[] = {3, 2};
  CHECK(call(2, three_two, rows, overlap, far) == THINOUT_BAD_INDEX, "index overflow");
}

// Above the size at which stores go around the caches: a transposed array, against the plain one.
void test_large() {
  const int64_t side = 2624, n = side * side, sizes[] = {side, side}, plain[] = {side, 1}, turned[] = {1, side};
  const Spec s;
  std::vector<float> x(size_t(n), 1.5f), y(static_cast<size_t>(n)), want(static_cast<size_t>(n));
  thinout_dropout(x.data(), want.data(), n, 0, 0, s.key, s.offset, s.threshold, 0, s.scale, 1);
  thinout_dropout_strided(x.data(), y.data(), 0, 2, sizes, turned, turned, plain, 0, s.key, s.offset, s.threshold, 0,
                          s.scale, 2);
  for (int64_t i = 0; i < n; ++i) {
    if (y[size_t(i % side * side + i / side)] == want[size_t(i)]) continue;
    CHECK(false, "%s large transposed: element %ld", thinout_isa(), long(i));
    return;
  }
}

}  // namespace

void test_strided() {
  Spec wide;
  wide.wide = 1;
  wide.threshold = 1288490189;
  test_bad_arguments();
  test_large();
  for (const Spec& s : {Spec{}, wide}) {
    for (const Case& c : kCases) check_all(c, s, 1);
    for (const Case& c : kCases) check<Float32>(c, THINOUT_FLOAT32, s, 3);
    for (uint64_t i = 0; i < 150; ++i) check_all(random_case(i), s, 1 + int(i % 3));
  }
}
