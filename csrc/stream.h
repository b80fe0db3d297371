// The mask contract in data: what names one stream of keep decisions, and the constants that hold for a run of blocks.
//
// Philox4x32-10 (Salmon et al. 2011); key = (low, high) of a 64-bit seed; counter = (block low, block high, offset low,
// offset high). Narrow format: element i is 16-bit lane i % 8, little endian, of block i / 8, kept iff
// (lane ^ 0x8000) >= threshold. Wide format: element i is word i % 4 of block i / 4, kept iff word >= threshold.
//
// Functions in headers live in an unnamed namespace: every kernel_*.cpp is compiled for another instruction set, and
// with external linkage the linker would keep one copy for all, possibly one that this machine cannot run.
#pragma once

#include <cstdint>

namespace thinout {

struct Stream {
  uint64_t key;
  uint64_t offset;
  uint32_t threshold;
  bool wide;
  double scale;
};

// Storage types that C++17 lacks. Index = the C ABI's dtype code.
struct bfloat16 {
  uint16_t bits;
};
struct float16 {
  uint16_t bits;
};
struct keep8 {
  uint8_t value;
};  // output of the mask functions: 1 = keep
enum Type { kFloat32, kFloat64, kBfloat16, kFloat16, kMask, kNumTypes };

constexpr int kRounds = 10;
constexpr uint32_t kMul0 = 0xD2511F53u, kMul1 = 0xCD9E8D57u;
constexpr uint32_t kWeyl0 = 0x9E3779B9u, kWeyl1 = 0xBB67AE85u;

// Round keys, and rounds 1 to 3 as far as they do not depend on the low word of the block number: only that word
// changes in a run of blocks, so a third of these rounds is the same for all of them.
struct Schedule {
  uint64_t key0[kRounds], key1[kRounds];  // 32 bits each, kept as the vectors want them
  uint64_t word2_round1;  // word 2 after round 1 = this ^ high(kMul0 * word 0)
  uint64_t word0_round2;  // word 0 after round 2 = this ^ high(kMul1 * word 2)
  uint64_t word2_round2;  // word 2 after round 2 = this ^ word 3
  uint64_t word2_round3;  // word 2 after round 3 = this ^ high(kMul0 * word 0)
};

namespace {

inline uint32_t mul_high(uint32_t a, uint32_t b) { return static_cast<uint32_t>((uint64_t{a} * b) >> 32); }

inline Schedule make_schedule(const Stream& stream, uint32_t block_high) {
  Schedule s;
  const uint32_t key0 = static_cast<uint32_t>(stream.key), key1 = static_cast<uint32_t>(stream.key >> 32);
  for (uint32_t r = 0; r < kRounds; ++r) {
    s.key0[r] = key0 + r * kWeyl0;
    s.key1[r] = key1 + r * kWeyl1;
  }
  const uint32_t offset_low = static_cast<uint32_t>(stream.offset);
  const uint32_t word0_round1 = mul_high(kMul1, offset_low) ^ block_high ^ key0;
  s.word2_round1 = static_cast<uint32_t>(stream.offset >> 32) ^ key1;
  s.word0_round2 = (kMul1 * offset_low) ^ s.key0[1];
  s.word2_round2 = mul_high(kMul0, word0_round1) ^ s.key1[1];
  s.word2_round3 = (kMul0 * word0_round1) ^ s.key1[2];
  return s;
}

}  // namespace
}  // namespace thinout
