// AVX2 + F16C: 4 counters per register; decisions are 16-bit lanes, all ones or all zeros, in memory order.
#include "fused.h"

#if defined(__AVX2__) && defined(__F16C__)
#include <immintrin.h>

namespace thinout {
namespace {

template <class T>
struct Avx2Pack;

struct Avx2 {
  using V = __m256i;
  using Limit = __m256i;
  struct Keep {
    alignas(32) int16_t lane[64];
  };
  template <class T>
  using Pack = Avx2Pack<T>;
  static constexpr int kLanes = 4, kGroup = 4, kWords = 2, kPlainRounds = kRounds - 1;
  static constexpr bool kInline = true;

  static THINOUT_INLINE V set(uint64_t value) { return _mm256_set1_epi64x(static_cast<int64_t>(value)); }
  // The order of the counters is what makes the unpack instructions of `compare` leave the blocks in memory order.
  static THINOUT_INLINE V counters(uint32_t block) {
    return _mm256_add_epi32(set(block), _mm256_setr_epi64x(0, 2, 1, 3));
  }
  static THINOUT_INLINE V mul(V a, uint32_t b) { return _mm256_mul_epu32(a, set(b)); }
  static THINOUT_INLINE V high(V a) { return _mm256_srli_epi64(a, 32); }
  static THINOUT_INLINE V xor2(V a, V b) { return _mm256_xor_si256(a, b); }
  static THINOUT_INLINE V xor3(V a, V b, V c) { return xor2(xor2(a, b), c); }

  template <bool wide>
  static THINOUT_INLINE Limit limit(uint32_t threshold) {
    if (wide) return _mm256_set1_epi32(static_cast<int>(threshold));
    return _mm256_set1_epi16(static_cast<int16_t>(static_cast<int>(threshold) - 32769));
  }

  // Words 0, 1 or 2, 3 of each block, by the last round: a product's halves change places, so that they lie as the
  // words do, of which the xor is with the first alone.
  static THINOUT_INLINE V last_round(V product, V word, uint64_t key) {
    const V swapped = _mm256_shuffle_epi32(product, 0xB1);
    return xor2(swapped, _mm256_blend_epi32(xor2(word, set(key)), _mm256_setzero_si256(), 0xAA));
  }

  template <bool wide>
  static THINOUT_INLINE void compare(Keep& keep, int element, Limit limit, const Schedule& s, V c0, V c1, V c2, V c3) {
    const V words01 = last_round(mul(c2, kMul1), c1, s.key0[kPlainRounds]);
    const V words23 = last_round(mul(c0, kMul0), c3, s.key1[kPlainRounds]);
    V first = _mm256_unpacklo_epi64(words01, words23), second = _mm256_unpackhi_epi64(words01, words23);
    __m256i* out = reinterpret_cast<__m256i*>(keep.lane + element);
    if (wide) {
      first = _mm256_cmpeq_epi32(_mm256_max_epu32(first, limit), first);
      second = _mm256_cmpeq_epi32(_mm256_max_epu32(second, limit), second);
      _mm256_store_si256(out, _mm256_permute4x64_epi64(_mm256_packs_epi32(first, second), 0xD8));
    } else {  // (lane ^ 0x8000) >= t, unsigned, is lane > t - 32769, signed
      _mm256_store_si256(out, _mm256_cmpgt_epi16(first, limit));
      _mm256_store_si256(out + 1, _mm256_cmpgt_epi16(second, limit));
    }
  }

  static THINOUT_INLINE __m256i bytes(const Keep& keep, int half) {
    const __m256i* in = reinterpret_cast<const __m256i*>(keep.lane) + 2 * half;
    return _mm256_permute4x64_epi64(_mm256_packs_epi16(_mm256_load_si256(in), _mm256_load_si256(in + 1)), 0xD8);
  }
  static THINOUT_INLINE uint64_t collapse(const Keep& keep) {
    const uint64_t high = static_cast<uint32_t>(_mm256_movemask_epi8(bytes(keep, 1)));
    return high << 32 | static_cast<uint32_t>(_mm256_movemask_epi8(bytes(keep, 0)));
  }
  static THINOUT_INLINE void expand(uint64_t bits, Keep& keep) {
    const __m256i bit = _mm256_setr_epi16(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, -32768);
    for (int q = 0; q < 4; ++q) {
      const __m256i spread = _mm256_set1_epi16(static_cast<int16_t>(bits >> (16 * q)));
      const __m256i lanes = _mm256_cmpeq_epi16(_mm256_and_si256(spread, bit), bit);
      _mm256_store_si256(reinterpret_cast<__m256i*>(keep.lane) + q, lanes);
    }
  }

  // transpose64 on 4 words a register: the last two steps are within registers.
  static THINOUT_INLINE void transpose(uint64_t (&square)[64]) {
    swap_squares<32>(square, 0x00000000FFFFFFFF);
    swap_squares<16>(square, 0x0000FFFF0000FFFF);
    V* words = reinterpret_cast<V*>(square);
    for (int i = 0; i < 16; i += 4) {
      V v[4];
      for (int k = 0; k < 4; ++k) v[k] = _mm256_loadu_si256(words + i + k);
      for (int k = 0; k < 2; ++k) swap_between<8>(v[k], v[k + 2], 0x00FF00FF00FF00FF);
      for (int k = 0; k < 4; k += 2) swap_between<4>(v[k], v[k + 1], 0x0F0F0F0F0F0F0F0F);
      for (int k = 0; k < 4; ++k) {
        constexpr int64_t fours = 0x3333333333333333, twos = 0x5555555555555555;
        const V a = v[k];
        const V b = swap_within(a, _mm256_permute4x64_epi64(a, 0x4E), _mm256_setr_epi64x(2, 2, 64, 64),
                                _mm256_setr_epi64x(64, 64, 2, 2), _mm256_setr_epi64x(fours, fours, ~fours, ~fours));
        const V c = swap_within(b, _mm256_permute4x64_epi64(b, 0xB1), _mm256_setr_epi64x(1, 64, 1, 64),
                                _mm256_setr_epi64x(64, 1, 64, 1), _mm256_setr_epi64x(twos, ~twos, twos, ~twos));
        _mm256_storeu_si256(words + i + k, c);
      }
    }
  }
  template <int width>
  static THINOUT_INLINE void swap_between(V& a, V& b, int64_t mask) {
    const V swap = _mm256_and_si256(xor2(_mm256_srli_epi64(a, width), b), _mm256_set1_epi64x(mask));
    a = xor2(a, _mm256_slli_epi64(swap, width));
    b = xor2(b, swap);
  }
  // Bits in `mask` stay, the others come from the partner; a shift by 64 gives 0.
  static THINOUT_INLINE V swap_within(V a, V partner, V left, V right, V mask) {
    const V moved = _mm256_or_si256(_mm256_sllv_epi64(partner, left), _mm256_srlv_epi64(partner, right));
    return _mm256_or_si256(_mm256_and_si256(a, mask), _mm256_andnot_si256(mask, moved));
  }
  static void interleave(const uint64_t (&column)[8], int width, uint64_t* out) { interleave64(column, width, out); }
  static void fence() { _mm_sfence(); }
};

template <>
struct Avx2Pack<float> : Partial<Avx2Pack<float>, float> {
  using Scalar = float;
  using Packed = __m256;
  static constexpr int kLanes = 8;
  static THINOUT_INLINE __m256 load(const float* x) { return _mm256_loadu_ps(x); }
  static THINOUT_INLINE __m256 unpack(__m256 a) { return a; }
  static THINOUT_INLINE __m256 pack(__m256 a) { return a; }
  static THINOUT_INLINE __m256 mul(__m256 a, float b) { return _mm256_mul_ps(a, _mm256_set1_ps(b)); }
  static THINOUT_INLINE __m256 add(__m256 a, __m256 b) { return _mm256_add_ps(a, b); }
  static THINOUT_INLINE __m256 select(__m256 a, const Avx2::Keep& keep, int i) {
    const __m128i lanes = _mm_load_si128(reinterpret_cast<const __m128i*>(keep.lane + i));
    return _mm256_and_ps(a, _mm256_castsi256_ps(_mm256_cvtepi16_epi32(lanes)));
  }
  template <bool bypass_cache>
  static THINOUT_INLINE void store(float* y, __m256 a) {
    if (bypass_cache)
      _mm256_stream_ps(y, a);
    else
      _mm256_storeu_ps(y, a);
  }
};

template <>
struct Avx2Pack<double> : Partial<Avx2Pack<double>, double> {
  using Scalar = double;
  using Packed = __m256d;
  static constexpr int kLanes = 4;
  static THINOUT_INLINE __m256d load(const double* x) { return _mm256_loadu_pd(x); }
  static THINOUT_INLINE __m256d unpack(__m256d a) { return a; }
  static THINOUT_INLINE __m256d pack(__m256d a) { return a; }
  static THINOUT_INLINE __m256d mul(__m256d a, double b) { return _mm256_mul_pd(a, _mm256_set1_pd(b)); }
  static THINOUT_INLINE __m256d add(__m256d a, __m256d b) { return _mm256_add_pd(a, b); }
  static THINOUT_INLINE __m256d select(__m256d a, const Avx2::Keep& keep, int i) {
    const __m128i lanes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(keep.lane + i));
    return _mm256_and_pd(a, _mm256_castsi256_pd(_mm256_cvtepi16_epi64(lanes)));
  }
  template <bool bypass_cache>
  static THINOUT_INLINE void store(double* y, __m256d a) {
    if (bypass_cache)
      _mm256_stream_pd(y, a);
    else
      _mm256_storeu_pd(y, a);
  }
};

struct FloatPair {
  __m256 a, b;
};

// What the two 16-bit types share: 16 elements in one register, arithmetic in two of float32.
template <class T>
struct Avx2Half : Partial<Avx2Half<T>, T> {
  using Scalar = float;
  using Packed = __m256i;
  static constexpr int kLanes = 16;
  static THINOUT_INLINE __m256i load(const T* x) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x)); }
  static THINOUT_INLINE FloatPair mul(FloatPair p, float s) {
    return {_mm256_mul_ps(p.a, _mm256_set1_ps(s)), _mm256_mul_ps(p.b, _mm256_set1_ps(s))};
  }
  static THINOUT_INLINE FloatPair add(FloatPair p, FloatPair q) {
    return {_mm256_add_ps(p.a, q.a), _mm256_add_ps(p.b, q.b)};
  }
  static THINOUT_INLINE __m256i select(__m256i a, const Avx2::Keep& keep, int i) {
    return _mm256_and_si256(a, _mm256_load_si256(reinterpret_cast<const __m256i*>(keep.lane + i)));
  }
  template <bool bypass_cache>
  static THINOUT_INLINE void store(T* y, __m256i a) {
    if (bypass_cache)
      _mm256_stream_si256(reinterpret_cast<__m256i*>(y), a);
    else
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(y), a);
  }
};

// Even elements go to `a`, odd ones to `b`: a shift and a mask, where memory order would take shuffles.
// A NaN needs no guard in the rounding: it comes from bfloat16, so its low half is 0 and the addition cannot carry.
template <>
struct Avx2Pack<bfloat16> : Avx2Half<bfloat16> {
  static THINOUT_INLINE FloatPair unpack(__m256i v) {
    return {_mm256_castsi256_ps(_mm256_slli_epi32(v, 16)),
            _mm256_castsi256_ps(_mm256_and_si256(v, _mm256_set1_epi32(static_cast<int>(0xFFFF0000u))))};
  }
  static THINOUT_INLINE __m256i rounded(__m256 a) {  // nearest even, in the high half
    const __m256i v = _mm256_castps_si256(a);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(v, 16), _mm256_set1_epi32(1));
    return _mm256_add_epi32(v, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7FFF)));
  }
  static THINOUT_INLINE __m256i pack(FloatPair p) { return high_halves(rounded(p.a), rounded(p.b)); }
  static THINOUT_INLINE __m256i pack_exact(FloatPair p) {
    return high_halves(_mm256_castps_si256(p.a), _mm256_castps_si256(p.b));
  }
  static THINOUT_INLINE __m256i high_halves(__m256i a, __m256i b) {
    return _mm256_blend_epi16(_mm256_srli_epi32(a, 16), b, 0xAA);
  }
};

template <>
struct Avx2Pack<float16> : Avx2Half<float16> {
  static THINOUT_INLINE FloatPair unpack(__m256i v) {
    return {_mm256_cvtph_ps(_mm256_castsi256_si128(v)), _mm256_cvtph_ps(_mm256_extracti128_si256(v, 1))};
  }
  static THINOUT_INLINE __m256i pack(FloatPair p) {
    constexpr int nearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
    return _mm256_set_m128i(_mm256_cvtps_ph(p.b, nearest), _mm256_cvtps_ph(p.a, nearest));
  }
};

template <>
struct Avx2Pack<keep8> : Partial<Avx2Pack<keep8>, keep8> {
  struct Packed {
    __m256i low, high;
  };
  static constexpr int kLanes = 64;
  static THINOUT_INLINE Packed ones(const Avx2::Keep& keep) {
    const __m256i one = _mm256_set1_epi8(1);
    return {_mm256_and_si256(Avx2::bytes(keep, 0), one), _mm256_and_si256(Avx2::bytes(keep, 1), one)};
  }
  template <bool>
  static THINOUT_INLINE void store(keep8* y, const Packed& a) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(y), a.low);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(y) + 1, a.high);
  }
};

constexpr Kernels kAvx2 = make_kernels<Avx2>("avx2");

}  // namespace

const Kernels* avx2_kernels() { return &kAvx2; }

}  // namespace thinout
#else
const thinout::Kernels* thinout::avx2_kernels() { return nullptr; }
#endif
