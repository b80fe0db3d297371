// Plain C++, for every processor: one counter per 64-bit integer, a decision is a byte. The reference of the others.
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
  if (rest >= 0x7C00u) return bits_to_float(sign | 0x7F800000u | (rest & 0x3FFu) << 13 | (rest > 0x7C00u ? 0x400000u : 0));
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
  if (rest > 0x7F800000u) result = 0x7E00u | (rest >> 13 & 0x3FFu);         // NaN, quiet
  else if (rest >= 0x477FF000u) result = 0x7C00u;                          // rounds to infinity
  else if (rest < 0x38800000u) result = float_to_bits(bits_to_float(rest) + 0.5f) - 0x3F000000u;  // subnormal
  else result = (rest - 0x38000000u + 0xFFFu + (rest >> 13 & 1u)) >> 13;
  y.bits = static_cast<uint16_t>(sign | result);
}

struct Portable {
  using V = uint64_t;
  using Limit = uint32_t;
  struct Keep { uint8_t lane[64]; };  // 1 = keep
  template <class T> struct Pack;
  static constexpr int kLanes = 1, kGroup = 2, kWords = 1;
  static constexpr bool kInline = false;

  static THINOUT_INLINE V set(uint32_t value) { return value; }
  static THINOUT_INLINE V counters(uint32_t block) { return block; }
  static THINOUT_INLINE V mul(V a, uint32_t b) { return V{static_cast<uint32_t>(a)} * b; }
  static THINOUT_INLINE V high(V a) { return a >> 32; }
  static THINOUT_INLINE V xor2(V a, V b) { return a ^ b; }
  static THINOUT_INLINE V xor3(V a, V b, V c) { return a ^ b ^ c; }
  template <bool wide> static THINOUT_INLINE Limit limit(uint32_t threshold) { return threshold; }

  template <bool wide>
  static THINOUT_INLINE void compare(Keep& keep, int element, Limit limit, V c0, V c1, V c2, V c3) {
    const uint32_t word[4] = {static_cast<uint32_t>(c0), static_cast<uint32_t>(c1), static_cast<uint32_t>(c2),
                              static_cast<uint32_t>(c3)};
#pragma GCC unroll 4
    for (int w = 0; w < 4; ++w) {
      if (wide) {
        keep.lane[element + w] = word[w] >= limit;
      } else {
        keep.lane[element + 2 * w] = ((word[w] & 0xFFFFu) ^ 0x8000u) >= limit;
        keep.lane[element + 2 * w + 1] = (word[w] >> 16 ^ 0x8000u) >= limit;
      }
    }
  }

  static THINOUT_INLINE uint64_t collapse(const Keep& keep) {
    uint64_t bits = 0;
    for (int i = 0; i < 64; ++i) bits |= uint64_t{keep.lane[i]} << i;
    return bits;
  }
  static THINOUT_INLINE void expand(uint64_t bits, Keep& keep) {
    for (int i = 0; i < 64; ++i) keep.lane[i] = bits >> i & 1;
  }
  static THINOUT_INLINE void fence() {}
};

// 16 elements at a time, in loops that a compiler turns into whatever vectors the target has.
template <class T> struct Portable::Pack : Partial<Portable::Pack<T>, T> {
  using Scalar = decltype(widen(T{}));
  static constexpr int kLanes = 16;
  struct Narrow { T e[kLanes]; };
  using Packed = Narrow;
  struct Wide { Scalar e[kLanes]; };
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
  template <bool bypass_cache> static THINOUT_INLINE void store(T* y, const Narrow& a) { std::memcpy(y, &a, sizeof a); }
};

template <> struct Portable::Pack<keep8> : Partial<Portable::Pack<keep8>, keep8> {
  using Packed = Keep;
  static constexpr int kLanes = 64;
  static THINOUT_INLINE const Keep& ones(const Keep& keep) { return keep; }
  template <bool> static THINOUT_INLINE void store(keep8* y, const Keep& keep) { std::memcpy(y, keep.lane, sizeof keep); }
};

constexpr Kernels kPortable = make_kernels<Portable>("portable");

}  // namespace

const Kernels* portable_kernels() { return &kPortable; }

}  // namespace thinout
