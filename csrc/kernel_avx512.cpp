// AVX-512 (F, BW, DQ, VL) and BMI2: 8 counters per register, three-way xor in one instruction, decisions are bits.
#include "fused.h"

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__) && defined(__BMI2__)
#include <immintrin.h>

namespace thinout {
namespace {

template <class T>
struct Avx512Pack;

// Mask of the first `count` lanes, 1 <= count <= 64; narrower masks take their part.
THINOUT_INLINE uint64_t first_lanes(int count) { return ~uint64_t{0} >> (64 - count); }

struct Avx512 {
  using V = __m512i;
  using Limit = __m512i;
  struct Keep {
    __mmask32 half[2];
  };  // of 32 elements
  template <class T>
  using Pack = Avx512Pack<T>;
  static constexpr int kLanes = 8, kGroup = 4, kWords = 4, kPlainRounds = kRounds - 1;
  static constexpr bool kInline = true;

  static THINOUT_INLINE V set(uint64_t value) { return _mm512_set1_epi64(static_cast<int64_t>(value)); }
  // The order of the counters is what makes the unpack instructions of `compare` leave the blocks in memory order.
  static THINOUT_INLINE V counters(uint32_t block) {
    return _mm512_add_epi32(set(block), _mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7));
  }
  static THINOUT_INLINE V mul(V a, uint32_t b) { return _mm512_mul_epu32(a, set(b)); }
  static THINOUT_INLINE V high(V a) { return _mm512_srli_epi64(a, 32); }
  static THINOUT_INLINE V xor2(V a, V b) { return _mm512_xor_si512(a, b); }
  static THINOUT_INLINE V xor3(V a, V b, V c) { return _mm512_ternarylogic_epi64(a, b, c, 0x96); }

  template <bool wide>
  static THINOUT_INLINE Limit limit(uint32_t threshold) {
    if (wide) return _mm512_set1_epi32(static_cast<int>(threshold));
    return _mm512_set1_epi16(static_cast<int16_t>(static_cast<int>(threshold) - 32769));
  }

  // With the last round: a product's halves change places, so that they lie as two words of the block do, of which the
  // xor is with one alone.
  template <bool wide>
  static THINOUT_INLINE void compare(Keep& keep, int element, Limit limit, const Schedule& s, V c0, V c1, V c2, V c3) {
    const V product0 = _mm512_rol_epi64(mul(c0, kMul0), 32), product1 = _mm512_rol_epi64(mul(c2, kMul1), 32);
    const V words01 = _mm512_mask_ternarylogic_epi32(product1, 0x5555, c1, set(s.key0[kPlainRounds]), 0x96);
    const V words23 = _mm512_mask_ternarylogic_epi32(product0, 0x5555, c3, set(s.key1[kPlainRounds]), 0x96);
    const V first = _mm512_unpacklo_epi64(words01, words23), second = _mm512_unpackhi_epi64(words01, words23);
    if (wide) {
      const __mmask32 mask =
          _mm512_kunpackw(_mm512_cmpge_epu32_mask(second, limit), _mm512_cmpge_epu32_mask(first, limit));
      keep.half[element / 32] = mask;
    } else {  // (lane ^ 0x8000) >= t, unsigned, is lane > t - 32769, signed
      keep.half[0] = _mm512_cmpgt_epi16_mask(first, limit);
      keep.half[1] = _mm512_cmpgt_epi16_mask(second, limit);
    }
  }

  static THINOUT_INLINE uint64_t collapse(const Keep& keep) { return uint64_t{keep.half[1]} << 32 | keep.half[0]; }
  static THINOUT_INLINE void expand(uint64_t bits, Keep& keep) {
    keep.half[0] = static_cast<__mmask32>(bits);
    keep.half[1] = static_cast<__mmask32>(bits >> 32);
  }

  // transpose64 on 8 words a register: squares of 32, 16 and 8 bits between registers, then each 8 x 8 bits of a
  // register in the 64-bit lane where its 8 bytes are brought together.
  static THINOUT_INLINE void transpose(uint64_t (&square)[64]) {
    V v[8];
    for (int i = 0; i < 8; ++i) v[i] = _mm512_loadu_si512(square + 8 * i);
    for (int i = 0; i < 4; ++i) swap_between<32>(v[i], v[i + 4], 0x00000000FFFFFFFF);
    for (int i = 0; i < 4; ++i) swap_between<16>(v[i / 2 * 4 + i % 2], v[i / 2 * 4 + i % 2 + 2], 0x0000FFFF0000FFFF);
    for (int i = 0; i < 8; i += 2) swap_between<8>(v[i], v[i + 1], 0x00FF00FF00FF00FF);
    for (int i = 0; i < 8; ++i) {
      V a = transpose_bytes(v[i]);
      a = swap_within<7>(a, 0x00AA00AA00AA00AA);
      a = swap_within<14>(a, 0x0000CCCC0000CCCC);
      a = swap_within<28>(a, 0x00000000F0F0F0F0);
      _mm512_storeu_si512(square + 8 * i, transpose_bytes(a));
    }
  }
  template <int width>
  static THINOUT_INLINE void swap_between(V& a, V& b, int64_t mask) {
    const V swap = _mm512_ternarylogic_epi64(_mm512_srli_epi64(a, width), b, _mm512_set1_epi64(mask), 0x28);
    a = xor2(a, _mm512_slli_epi64(swap, width));
    b = xor2(b, swap);
  }
  template <int distance>
  static THINOUT_INLINE V swap_within(V a, int64_t mask) {
    const V swap = _mm512_ternarylogic_epi64(a, _mm512_srli_epi64(a, distance), _mm512_set1_epi64(mask), 0x28);
    return xor3(a, swap, _mm512_slli_epi64(swap, distance));
  }
  // Byte j of word i becomes byte i of word j.
  static THINOUT_INLINE V transpose_bytes(V a) {
    const __m128i pairs = _mm_setr_epi8(0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15);
    const V fours = _mm512_set_epi16(31, 23, 15, 7, 30, 22, 14, 6, 29, 21, 13, 5, 28, 20, 12, 4, 27, 19, 11, 3, 26, 18,
                                     10, 2, 25, 17, 9, 1, 24, 16, 8, 0);
    return _mm512_permutexvar_epi16(fours, _mm512_shuffle_epi8(a, _mm512_broadcast_i32x4(pairs)));
  }

  // interleave64 by the instruction that spreads bits, which is quick wherever there is AVX-512.
  template <int width>
  static void spread(const uint64_t (&column)[8], uint64_t* out) {
    uint64_t every = 0;
    for (int i = 0; i < 64; i += width) every |= uint64_t{1} << i;
#pragma GCC unroll 8
    for (int w = 0; w < width; ++w) {
      uint64_t word = 0;
#pragma GCC unroll 8
      for (int k = 0; k < width; ++k) {
        const int row = (64 * w - k + width - 1) / width;  // the first in this word
        word |= _pdep_u64(column[k] >> row, every << (row * width + k - 64 * w));
      }
      out[w] = word;
    }
  }
  static void interleave(const uint64_t (&column)[8], int width, uint64_t* out) {
    switch (width) {
      case 2: return spread<2>(column, out);
      case 3: return spread<3>(column, out);
      case 4: return spread<4>(column, out);
      case 8: return spread<8>(column, out);
      default: return interleave64(column, width, out);
    }
  }
  static void fence() { _mm_sfence(); }
};

template <>
struct Avx512Pack<float> {
  using Scalar = float;
  using Packed = __m512;
  static constexpr int kLanes = 16;
  static THINOUT_INLINE __m512 load(const float* x) { return _mm512_loadu_ps(x); }
  static THINOUT_INLINE __m512 load_part(const float* x, int count) {
    return _mm512_maskz_loadu_ps(static_cast<__mmask16>(first_lanes(count)), x);
  }
  static THINOUT_INLINE void store_part(float* y, __m512 a, int count) {
    _mm512_mask_storeu_ps(y, static_cast<__mmask16>(first_lanes(count)), a);
  }
  static THINOUT_INLINE __m512 unpack(__m512 a) { return a; }
  static THINOUT_INLINE __m512 pack(__m512 a) { return a; }
  static THINOUT_INLINE __m512 mul(__m512 a, float b) { return _mm512_mul_ps(a, _mm512_set1_ps(b)); }
  static THINOUT_INLINE __m512 add(__m512 a, __m512 b) { return _mm512_add_ps(a, b); }
  static THINOUT_INLINE __m512 select(__m512 a, const Avx512::Keep& keep, int i) {
    return _mm512_maskz_mov_ps(static_cast<__mmask16>(keep.half[i / 32] >> (i % 32)), a);
  }
  template <bool bypass_cache>
  static THINOUT_INLINE void store(float* y, __m512 a) {
    if (bypass_cache)
      _mm512_stream_ps(y, a);
    else
      _mm512_storeu_ps(y, a);
  }
};

template <>
struct Avx512Pack<double> {
  using Scalar = double;
  using Packed = __m512d;
  static constexpr int kLanes = 8;
  static THINOUT_INLINE __m512d load(const double* x) { return _mm512_loadu_pd(x); }
  static THINOUT_INLINE __m512d load_part(const double* x, int count) {
    return _mm512_maskz_loadu_pd(static_cast<__mmask8>(first_lanes(count)), x);
  }
  static THINOUT_INLINE void store_part(double* y, __m512d a, int count) {
    _mm512_mask_storeu_pd(y, static_cast<__mmask8>(first_lanes(count)), a);
  }
  static THINOUT_INLINE __m512d unpack(__m512d a) { return a; }
  static THINOUT_INLINE __m512d pack(__m512d a) { return a; }
  static THINOUT_INLINE __m512d mul(__m512d a, double b) { return _mm512_mul_pd(a, _mm512_set1_pd(b)); }
  static THINOUT_INLINE __m512d add(__m512d a, __m512d b) { return _mm512_add_pd(a, b); }
  static THINOUT_INLINE __m512d select(__m512d a, const Avx512::Keep& keep, int i) {
    return _mm512_maskz_mov_pd(static_cast<__mmask8>(keep.half[i / 32] >> (i % 32)), a);
  }
  template <bool bypass_cache>
  static THINOUT_INLINE void store(double* y, __m512d a) {
    if (bypass_cache)
      _mm512_stream_pd(y, a);
    else
      _mm512_storeu_pd(y, a);
  }
};

struct FloatPair {
  __m512 a, b;
};

// What the two 16-bit types share: 32 elements in one register, arithmetic in two of float32.
template <class T>
struct Avx512Half {
  using Scalar = float;
  using Packed = __m512i;
  static constexpr int kLanes = 32;
  static THINOUT_INLINE __m512i load(const T* x) { return _mm512_loadu_si512(x); }
  static THINOUT_INLINE __m512i load_part(const T* x, int count) {
    return _mm512_maskz_loadu_epi16(static_cast<__mmask32>(first_lanes(count)), x);
  }
  static THINOUT_INLINE void store_part(T* y, __m512i a, int count) {
    _mm512_mask_storeu_epi16(y, static_cast<__mmask32>(first_lanes(count)), a);
  }
  static THINOUT_INLINE FloatPair mul(FloatPair p, float s) {
    return {_mm512_mul_ps(p.a, _mm512_set1_ps(s)), _mm512_mul_ps(p.b, _mm512_set1_ps(s))};
  }
  static THINOUT_INLINE FloatPair add(FloatPair p, FloatPair q) {
    return {_mm512_add_ps(p.a, q.a), _mm512_add_ps(p.b, q.b)};
  }
  static THINOUT_INLINE __m512i select(__m512i a, const Avx512::Keep& keep, int i) {
    return _mm512_maskz_mov_epi16(keep.half[i / 32], a);
  }
  template <bool bypass_cache>
  static THINOUT_INLINE void store(T* y, __m512i a) {
    if (bypass_cache)
      _mm512_stream_si512(reinterpret_cast<__m512i*>(y), a);
    else
      _mm512_storeu_si512(y, a);
  }
};

// Even elements go to `a`, odd ones to `b`; a NaN needs no guard: see kernel_avx2.cpp. The processor's own
// conversion (AVX512_BF16) is of no use here, since it flushes subnormal numbers to zero.
template <>
struct Avx512Pack<bfloat16> : Avx512Half<bfloat16> {
  static THINOUT_INLINE FloatPair unpack(__m512i v) {
    return {_mm512_castsi512_ps(_mm512_slli_epi32(v, 16)),
            _mm512_castsi512_ps(_mm512_and_si512(v, _mm512_set1_epi32(static_cast<int>(0xFFFF0000u))))};
  }
  static THINOUT_INLINE __m512i rounded(__m512 a) {  // nearest even, in the high half
    const __m512i v = _mm512_castps_si512(a), half = _mm512_set1_epi32(0x7FFF);
    const __mmask16 odd = _mm512_test_epi32_mask(v, _mm512_set1_epi32(0x10000));
    return _mm512_add_epi32(v, _mm512_mask_blend_epi32(odd, half, _mm512_set1_epi32(0x8000)));
  }
  static THINOUT_INLINE __m512i pack(FloatPair p) { return high_halves(rounded(p.a), rounded(p.b)); }
  static THINOUT_INLINE __m512i pack_exact(FloatPair p) {
    return high_halves(_mm512_castps_si512(p.a), _mm512_castps_si512(p.b));
  }
  static THINOUT_INLINE __m512i high_halves(__m512i a, __m512i b) {
    const __m128i down = _mm_setr_epi8(2, 3, 0, 0, 6, 7, 0, 0, 10, 11, 0, 0, 14, 15, 0, 0);
    return _mm512_mask_shuffle_epi8(b, 0x3333333333333333u, a, _mm512_broadcast_i32x4(down));
  }
};

template <>
struct Avx512Pack<float16> : Avx512Half<float16> {
  static THINOUT_INLINE FloatPair unpack(__m512i v) {
    return {_mm512_cvtph_ps(_mm512_castsi512_si256(v)), _mm512_cvtph_ps(_mm512_extracti64x4_epi64(v, 1))};
  }
  static THINOUT_INLINE __m512i pack(FloatPair p) {
    constexpr int nearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
    const __m512i low = _mm512_castsi256_si512(_mm512_cvtps_ph(p.a, nearest));
    return _mm512_inserti64x4(low, _mm512_cvtps_ph(p.b, nearest), 1);
  }
};

template <>
struct Avx512Pack<keep8> {
  using Packed = __m512i;
  static constexpr int kLanes = 64;
  static THINOUT_INLINE __m512i ones(const Avx512::Keep& keep) {
    return _mm512_maskz_set1_epi8(Avx512::collapse(keep), 1);
  }
  template <bool bypass_cache>
  static THINOUT_INLINE void store(keep8* y, __m512i a) {
    if (bypass_cache)
      _mm512_stream_si512(reinterpret_cast<__m512i*>(y), a);
    else
      _mm512_storeu_si512(y, a);
  }
  static THINOUT_INLINE void store_part(keep8* y, __m512i a, int count) {
    _mm512_mask_storeu_epi8(y, first_lanes(count), a);
  }
};

constexpr Kernels kAvx512 = make_kernels<Avx512>("avx512");

}  // namespace

const Kernels* avx512_kernels() { return &kAvx512; }

}  // namespace thinout
#else
const thinout::Kernels* thinout::avx512_kernels() { return nullptr; }
#endif
