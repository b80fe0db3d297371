// NEON, on 64-bit ARM: 2 counters per register. Drawing is written by hand; the arithmetic is left to the compiler.
// Tested in an emulator only; never timed.
#include "bytes.h"

#ifdef __aarch64__
#include <arm_neon.h>

namespace thinout {
namespace {

struct Neon : Bytes {
  using V = uint64x2_t;
  using Limit = uint32_t;
  static constexpr int kLanes = 2, kGroup = 4, kWords = 1;

  static THINOUT_INLINE V set(uint64_t value) { return vdupq_n_u64(value); }
  static THINOUT_INLINE V counters(uint32_t block) { return vcombine_u64(vcreate_u64(block), vcreate_u64(block + 1)); }
  static THINOUT_INLINE V mul(V a, uint32_t b) { return vmull_n_u32(vmovn_u64(a), b); }
  static THINOUT_INLINE V high(V a) { return vshrq_n_u64(a, 32); }
  static THINOUT_INLINE V xor2(V a, V b) { return veorq_u64(a, b); }
  static THINOUT_INLINE V xor3(V a, V b, V c) { return xor2(xor2(a, b), c); }
  template <bool wide>
  static THINOUT_INLINE Limit limit(uint32_t threshold) {
    return threshold;
  }

  template <bool wide>
  static THINOUT_INLINE void compare(Keep& keep, int element, Limit limit, const Schedule&, V c0, V c1, V c2, V c3) {
    const uint32x2x2_t low = vzip_u32(vmovn_u64(c0), vmovn_u64(c1)), high = vzip_u32(vmovn_u64(c2), vmovn_u64(c3));
    const uint32x4_t first = vcombine_u32(low.val[0], high.val[0]), second = vcombine_u32(low.val[1], high.val[1]);
    if (wide) {
      const uint32x4_t least = vdupq_n_u32(limit);
      store(keep, element, vcombine_u16(vmovn_u32(vcgeq_u32(first, least)), vmovn_u32(vcgeq_u32(second, least))));
    } else {
      store(keep, element, decide(first, limit));
      store(keep, element + 8, decide(second, limit));
    }
  }
  static THINOUT_INLINE uint16x8_t decide(uint32x4_t block, Limit limit) {
    const uint16x8_t flipped = veorq_u16(vreinterpretq_u16_u32(block), vdupq_n_u16(0x8000));
    return vcgeq_u16(flipped, vdupq_n_u16(static_cast<uint16_t>(limit)));
  }
  static THINOUT_INLINE void store(Keep& keep, int element, uint16x8_t decisions) {
    vst1_u8(keep.lane + element, vand_u8(vmovn_u16(decisions), vdup_n_u8(1)));
  }
};

constexpr Kernels kNeon = make_kernels<Neon>("neon");

}  // namespace

const Kernels* neon_kernels() { return &kNeon; }

}  // namespace thinout
#else
const thinout::Kernels* thinout::neon_kernels() { return nullptr; }
#endif
