// Arithmetic in plain C++ for the forms without hand-written vectors; a decision is a byte.
#pragma once

#include "fused.h"

namespace thinout {
namespace {

inline float bits_to_float(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}
inline uint32_t float_to_bits(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

inline float widen(float x) { return x; }
inline double widen(double x) { return x; }
inline float widen(bfloat16 x) { return bits_to_float(uint32_t{x.bits} << 16); }
inline float widen(float16 x) {
  const uint32_t sign = (x.bits & 0x8000u) << 16, rest = x.bits & 0x7FFFu;
  if (rest >= 0x7C00u)
    return bits_to_float(sign | 0x7F800000u | (rest & 0x3FFu) << 13 | (rest > 0x7C00u ? 0x400000u : 0));
  const float magnitude = bits_to_float(rest << 13) * 0x1p112f;  // exact, also for subnormals
  return bits_to_float(sign | float_to_bits(magnitude));
}

inline void narrow(float x, float& y) { y = x; }
inline void narrow(double x, double& y) { y = x; }
inline void narrow(float x, bfloat16& y) {  // no guard for NaN: see kernel_avx2.cpp
  const uint32_t bits = float_to_bits(x);
  y.bits = static_cast<uint16_t>((bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16);
}
inline void narrow(float x, float16& y) {
  const uint32_t bits = float_to_bits(x), sign = bits >> 16 & 0x8000u, rest = bits & 0x7FFFFFFFu;
  uint32_t result;
  if (rest > 0x7F800000u)
    result = 0x7E00u | (rest >> 13 & 0x3FFu);  // NaN, quiet
  else if (rest >= 0x477FF000u)
    result = 0x7C00u;  // rounds to infinity
  else if (rest < 0x38800000u)
    result = float_to_bits(bits_to_float(rest) + 0.5f) - 0x3F000000u;  // subnormal
  else
    result = (rest - 0x38000000u + 0xFFFu + (rest >> 13 & 1u)) >> 13;
  y.bits = static_cast<uint16_t>(sign | result);
}

template <class T>
struct BytesPack;

struct Bytes {
  struct Keep {
    uint8_t lane[64];
  };  // 1 = keep
  template <class T>
  using Pack = BytesPack<T>;
  static constexpr int kPlainRounds = kRounds;
  static constexpr bool kInline = false;

  static THINOUT_INLINE uint64_t collapse(const Keep& keep) {
    uint64_t bits = 0;
    for (int i = 0; i < 64; ++i) bits |= uint64_t{keep.lane[i]} << i;
    return bits;
  }
  static THINOUT_INLINE void expand(uint64_t bits, Keep& keep) {
    for (int i = 0; i < 64; ++i) keep.lane[i] = bits >> i & 1;
  }
  static void transpose(uint64_t (&square)[64]) { transpose64(square); }
  static void interleave(const uint64_t (&column)[8], int width, uint64_t* out) { interleave64(column, width, out); }
  static void fence() {}
};

// 16 elements at a time, in loops that a compiler turns into whatever vectors the target has.
template <class T>
struct BytesPack : Partial<BytesPack<T>, T> {
  using Keep = Bytes::Keep;
  using Scalar = decltype(widen(T{}));
  static constexpr int kLanes = 16;
  struct Narrow {
    T e[kLanes];
  };
  using Packed = Narrow;
  struct Wide {
    Scalar e[kLanes];
  };
  static THINOUT_INLINE Narrow load(const T* x) {
    Narrow a;
    std::memcpy(&a, x, sizeof a);
    return a;
  }
  static THINOUT_INLINE Wide unpack(const Narrow& a) {
    Wide b;
    for (int i = 0; i < kLanes; ++i) b.e[i] = widen(a.e[i]);
    return b;
  }
  static THINOUT_INLINE Narrow pack(const Wide& a) {
    Narrow b;
    for (int i = 0; i < kLanes; ++i) narrow(a.e[i], b.e[i]);
    return b;
  }
  static THINOUT_INLINE Wide mul(const Wide& a, Scalar s) {
    Wide b;
    for (int i = 0; i < kLanes; ++i) b.e[i] = a.e[i] * s;
    return b;
  }
  static THINOUT_INLINE Wide add(const Wide& a, const Wide& c) {
    Wide b;
    for (int i = 0; i < kLanes; ++i) b.e[i] = a.e[i] + c.e[i];
    return b;
  }
  static THINOUT_INLINE Narrow select(const Narrow& a, const Keep& keep, int first) {
    Narrow b;
    for (int i = 0; i < kLanes; ++i) b.e[i] = keep.lane[first + i] ? a.e[i] : T{};
    return b;
  }
  template <bool bypass_cache>
  static THINOUT_INLINE void store(T* y, const Narrow& a) {
    std::memcpy(y, &a, sizeof a);
  }
};

template <>
struct BytesPack<keep8> : Partial<BytesPack<keep8>, keep8> {
  using Keep = Bytes::Keep;
  using Packed = Keep;
  static constexpr int kLanes = 64;
  static THINOUT_INLINE const Keep& ones(const Keep& keep) { return keep; }
  template <bool>
  static THINOUT_INLINE void store(keep8* y, const Keep& keep) {
    std::memcpy(y, keep.lane, sizeof keep);
  }
};

}  // namespace
}  // namespace thinout
