// The fused forms: equal to the separate steps, each rounded to the dtype; GELU against long double.
#include <algorithm>

#include "dropout.h"
#include "oracle.h"
#include "tests.h"

namespace {

long double normal_below(long double h) { return 0.5L * erfcl(-h * sqrtl(0.5L)); }
double activated(double h, int activation) {
  if (activation == THINOUT_RELU) return h < 0 ? 0 : h;
  return activation == THINOUT_GELU ? double(h * normal_below(h)) : h;
}
double slope(long double h, int activation) {
  if (activation == THINOUT_RELU) return h <= 0 ? 0 : 1;
  return activation == THINOUT_GELU ? double(normal_below(h) + h * expl(-h * h / 2) * 0.398942280401432677939946L) : 1;
}

// Equal; or, for what GELU computes by its own formula, within `units` in the last place of the wanted number.
template <class F>
bool near(typename F::S got, double want, int units) {
  const auto rounded = F::rounded(want);
  if (same<F>(got, rounded)) return true;
  if (units == 0) return F::value(got) == F::value(rounded);  // zeros of either sign
  const int bits = sizeof(typename F::S) == 8 ? 52 : sizeof(typename F::S) == 4 ? 23 : 7;
  const double unit = std::ldexp(1.0, std::max(std::ilogb(want), sizeof(typename F::S) == 2 ? -14 : -126) - bits);
  return std::fabs(F::value(got) - want) <= units * unit;
}

// Activation inputs of sensible size: GELU of an infinity is NaN or itself by IEEE rules, which is no case of ours.
template <class F>
std::vector<typename F::S> moderate(int64_t n, uint64_t seed) {
  std::vector<typename F::S> x(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i)
    x[size_t(i)] = F::rounded(double(int32_t(philox(uint64_t(i), 5, seed).word[0])) * 0x1p-28);
  return x;
}

template <class F>
double sum(typename F::S a, typename F::S b) {
  return F::value(
      F::rounded(sizeof(a) == 8 ? F::value(a) + F::value(b) : double(float(F::value(a)) + float(F::value(b)))));
}

template <class F>
void check_add(int dtype, const Spec& s, int64_t n, int threads) {
  const auto x = samples<F>(n), residual = samples<F>(n, 2);
  Guarded<typename F::S> y(n);
  CHECK(thinout_dropout_add(x.data(), residual.data(), y.begin(), n, dtype, 9, s.key, s.offset, s.threshold, s.wide,
                            s.scale, threads) == 0,
        "status");
  CHECK(y.intact(), "dropout_add wrote outside");
  for (int64_t i = 0; i < n; ++i) {
    const auto dropped = kept(s, uint64_t(9 + i)) ? scaled<F>(x[size_t(i)], s.scale) : typename F::S{};
    const auto want = F::rounded(sum<F>(dropped, residual[size_t(i)]));
    if (same<F>(y[i], want) || F::value(y[i]) == F::value(want)) continue;
    CHECK(false, "%s dropout_add dtype %d n %ld: element %ld", thinout_isa(), dtype, long(n), long(i));
    return;
  }
}

template <class F>
void check_bias_act(int dtype, int activation, const Spec& s, int64_t rows, int64_t cols, int threads) {
  const int64_t n = rows * cols;
  const auto x = moderate<F>(n, 3), bias = moderate<F>(cols, 4), grad = moderate<F>(n, 6);
  Guarded<typename F::S> y(n), grad_x(n);
  CHECK(thinout_bias_act_dropout(x.data(), bias.data(), y.begin(), rows, cols, dtype, activation, 5, s.key, s.offset,
                                 s.threshold, s.wide, s.scale, threads) == 0,
        "status");
  CHECK(thinout_bias_act_dropout_backward(grad.data(), x.data(), bias.data(), grad_x.begin(), rows, cols, dtype,
                                          activation, 5, s.key, s.offset, s.threshold, s.wide, s.scale, threads) == 0,
        "status");
  CHECK(y.intact() && grad_x.intact(), "bias_act wrote outside");
  // 2 for GELU and the scaling behind it. In float64 the argument's own rounding counts, times h^2 <= 256.
  const int units = activation != THINOUT_GELU ? 0 : sizeof(typename F::S) == 8 ? 512 : 2;
  for (int64_t i = 0; i < n; ++i) {
    const bool keep = kept(s, uint64_t(5 + i));
    const double h = sum<F>(x[size_t(i)], bias[size_t(i % cols)]);
    const auto a = F::rounded(activated(h, activation));
    const auto want = keep ? scaled<F>(a, s.scale) : typename F::S{};
    const auto dropped = keep ? scaled<F>(grad[size_t(i)], s.scale) : typename F::S{};
    const double want_grad = F::value(dropped) * slope(h, activation);
    // Near its zero at h = -0.75 the slope is a difference of two numbers, each with its error.
    const double allowed = std::fabs(F::value(dropped)) * (sizeof(typename F::S) == 8 ? 1e-14 : 1e-9);
    const bool good = near<F>(y[i], F::value(want), units) &&
                      (near<F>(grad_x[i], want_grad, units) || std::fabs(F::value(grad_x[i]) - want_grad) <= allowed);
    if (good) continue;
    CHECK(false, "%s bias_act dtype %d activation %d: element %ld, h %g: %.9g for %.9g, gradient %.9g for %.9g",
          thinout_isa(), dtype, activation, long(i), h, F::value(y[i]), F::value(want), F::value(grad_x[i]), want_grad);
    return;
  }
}

// One row of every exponent and sign, without dropout in the way: the formula's own error.
void test_gelu_everywhere() {
  std::vector<float> x, zero(1, 0.0f);
  for (int exponent = -126; exponent < 5; ++exponent) {
    for (int step = 0; step < 64; ++step) {
      const float v = std::ldexp(1.0f + float(step) / 64, exponent);
      x.push_back(v);
      x.push_back(-v);
    }
  }
  std::vector<float> y(x.size());
  thinout_bias_act_dropout(x.data(), zero.data(), y.data(), int64_t(x.size()), 1, 0, THINOUT_GELU, 0, 1, 0, 1, 1, 1.0,
                           1);
  for (size_t i = 0; i < x.size(); ++i) {
    if (near<Float32>(y[i], activated(double(x[i]), THINOUT_GELU), 1)) continue;
    CHECK(false, "%s gelu(%.9g) = %.9g", thinout_isa(), double(x[i]), double(y[i]));
    return;
  }
}

template <class F>
void check_all(int dtype, const Spec& s) {
  for (int64_t n : {0, 1, 63, 64, 200, 1000}) check_add<F>(dtype, s, n, 1);
  check_add<F>(dtype, s, 20000, 3);
  for (int activation : {THINOUT_NONE, THINOUT_RELU, THINOUT_GELU}) {
    check_bias_act<F>(dtype, activation, s, 7, 130, 1);
    check_bias_act<F>(dtype, activation, s, 3, 6001, 2);
  }
}

}  // namespace

void test_fused() {
  Spec wide;
  wide.wide = 1;
  wide.threshold = 1288490189;
  test_gelu_everywhere();
  for (const Spec& s : {Spec{}, wide}) {
    check_all<Float32>(THINOUT_FLOAT32, s);
    check_all<Float64>(THINOUT_FLOAT64, s);
    check_all<Bfloat16>(THINOUT_BFLOAT16, s);
    check_all<Float16>(THINOUT_FLOAT16, s);
  }
  float v = 1;
  CHECK(thinout_bias_act_dropout(&v, &v, &v, 1, 1, 0, 3, 0, 1, 0, 1, 0, 1.0, 1) == THINOUT_BAD_ACTIVATION,
        "activation 3");
  CHECK(thinout_bias_act_dropout(&v, nullptr, &v, 1, 1, 0, 0, 0, 1, 0, 1, 0, 1.0, 1) == THINOUT_BAD_POINTER, "no bias");
  CHECK(thinout_dropout_add(&v, nullptr, &v, 1, 0, 0, 1, 0, 1, 0, 1.0, 1) == THINOUT_BAD_POINTER, "no residual");
  CHECK(thinout_bias_act_dropout(&v, &v, &v, INT64_MAX, 3, 0, 0, 0, 1, 0, 1, 0, 1.0, 1) == THINOUT_BAD_SIZE,
        "too large");
}
