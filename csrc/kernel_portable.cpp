// Plain C++, for every processor: one counter per 64-bit integer. The reference of the other forms.
#include "bytes.h"

namespace thinout {
namespace {

struct Portable : Bytes {
  using V = uint64_t;
  using Limit = uint32_t;
  static constexpr int kLanes = 1, kGroup = 2, kWords = 1;

  static THINOUT_INLINE V set(uint64_t value) { return value; }
  static THINOUT_INLINE V counters(uint32_t block) { return block; }
  static THINOUT_INLINE V mul(V a, uint32_t b) { return V{static_cast<uint32_t>(a)} * b; }
  static THINOUT_INLINE V high(V a) { return a >> 32; }
  static THINOUT_INLINE V xor2(V a, V b) { return a ^ b; }
  static THINOUT_INLINE V xor3(V a, V b, V c) { return a ^ b ^ c; }
  template <bool wide>
  static THINOUT_INLINE Limit limit(uint32_t threshold) {
    return threshold;
  }

  template <bool wide>
  static THINOUT_INLINE void compare(Keep& keep, int element, Limit limit, const Schedule&, V c0, V c1, V c2, V c3) {
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
};

constexpr Kernels kPortable = make_kernels<Portable>("portable");

}  // namespace

const Kernels* portable_kernels() { return &kPortable; }

}  // namespace thinout
