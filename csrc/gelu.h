// GELU in its erf form and its derivative, in double precision, as loops that a compiler turns into vectors.
//
//   gelu(h) = h * Phi(h),  gelu'(h) = Phi(h) + h * phi(h),  Phi(-a) = exp(-a^2 / 2) * g(a) for a >= 0
//
// g(a) = erfcx(a / sqrt 2) / 2 is smooth and never small, so that the tail keeps its relative precision. g is a
// polynomial in t = (c - a) / (c + a), fitted by least squares of the relative error at Chebyshev points of 0 <= a <=
// 37.5; largest relative error 3e-11, against 6e-8 for a rounding to float32. float64 takes the C library's erfc.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "dispatch.h"

namespace thinout {
namespace {

constexpr double kTailCentre = 3.75, kTailEnd = 37.5;  // beyond the end exp(-a^2 / 2) is 0 for our purposes
constexpr double kTail[15] = {
    0x1.99c2b6db2a093p-4,   0x1.6d7eb52a6abc1p-3,  0x1.00fda2862e002p-3,   0x1.138029f929c2ep-4,
    0x1.9ce3ec209f574p-6,   0x1.3d60294ecf0d2p-8,  -0x1.74aeb3bcad55cp-11, -0x1.4d8db9ad5849bp-11,
    -0x1.38b06bdacde5cp-16, 0x1.4626d75ea6253p-14, 0x1.9fab03d2bece8p-18,  -0x1.68f8476dacf3cp-17,
    -0x1.e19c60e0a883ep-22, 0x1.435f2f98c1447p-20, -0x1.587f7e0002e70p-24,
};
constexpr double kPowers[12] = {
    // log(2)^k / k!
    0x1.0000000000000p+0,  0x1.62e42fefa39efp-1,  0x1.ebfbdff82c58ep-3,  0x1.c6b08d704a0bfp-5,
    0x1.3b2ab6fba4e77p-7,  0x1.5d87fe78a6730p-10, 0x1.430912f86c786p-13, 0x1.ffcbfc588b0c5p-17,
    0x1.62c0223a5c822p-20, 0x1.b5253d395e7c1p-24, 0x1.e4cf5158b8ec7p-28, 0x1.e8cac7351bb22p-32,
};

template <int n>
THINOUT_INLINE double polynomial(const double (&c)[n], double x) {
  double sum = c[n - 1];
#pragma GCC unroll 16
  for (int k = n - 2; k >= 0; --k) sum = sum * x + c[k];
  return sum;
}

// 2^x for -1000 < x <= 0. Adding 1.5 * 2^52 rounds to a whole number, which is then in the low bits.
THINOUT_INLINE double power_of_two(double x) {
  constexpr double magic = 0x1.8p52;
  const double shifted = x + magic;
  const double value = polynomial(kPowers, x - (shifted - magic));
  uint64_t exponent, bits;
  std::memcpy(&exponent, &shifted, 8);
  std::memcpy(&bits, &value, 8);
  bits += exponent << 52;
  double result;
  std::memcpy(&result, &bits, 8);
  return result;
}

// exp(-h^2 / 2) and Phi(h).
struct Normal {
  double density, below;
};

THINOUT_INLINE Normal normal(float h) {
  const double a = std::fabs(static_cast<double>(h)), inside = a < kTailEnd ? a : kTailEnd;
  const double density = power_of_two(inside * inside * -0x1.71547652b82fep-1);  // log2(e) / 2
  const double tail = density * polynomial(kTail, (kTailCentre - inside) / (kTailCentre + inside));
  const double above = a < kTailEnd ? tail : 0.0;
  return {a < kTailEnd ? density : 0.0, h < 0 ? above : 1.0 - above};
}
THINOUT_INLINE Normal normal(double h) { return {std::exp(-0.5 * h * h), 0.5 * std::erfc(h * -0x1.6a09e667f3bcdp-1)}; }

template <class S>
THINOUT_INLINE S gelu(S h) {
  return static_cast<S>(h * normal(h).below);
}

template <class S>
THINOUT_INLINE S gelu_gradient(S gradient, S h) {
  const Normal n = normal(h);
  return static_cast<S>(gradient * (n.below + h * n.density * 0x1.9884533d43651p-2));  // 1 / sqrt(2 pi)
}

}  // namespace
}  // namespace thinout
