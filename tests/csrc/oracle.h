// The mask contract once more, as short and slow as can be, sharing no line with the library; and a few test tools.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <vector>

struct Block {
  uint32_t word[4];
};

inline Block philox(uint64_t counter_low, uint64_t counter_high, uint64_t key) {
  uint32_t c[4] = {uint32_t(counter_low), uint32_t(counter_low >> 32), uint32_t(counter_high),
                   uint32_t(counter_high >> 32)};
  uint32_t k0 = uint32_t(key), k1 = uint32_t(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = 0xD2511F53ull * c[0], b = 0xCD9E8D57ull * c[2];
    const uint32_t next[4] = {uint32_t(b >> 32) ^ c[1] ^ k0, uint32_t(b), uint32_t(a >> 32) ^ c[3] ^ k1, uint32_t(a)};
    std::memcpy(c, next, sizeof c);
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return {{c[0], c[1], c[2], c[3]}};
}

struct Spec {  // the arguments that name a stream
  uint64_t key = 0x0123456789ABCDEFull, offset = 7;
  uint64_t threshold = 19661;
  int wide = 0;
  double scale = 65536.0 / (65536 - 19661);
};

inline bool kept(const Spec& s, uint64_t index) {
  if (s.wide) return philox(index / 4, s.offset, s.key).word[index % 4] >= s.threshold;
  const uint32_t word = philox(index / 8, s.offset, s.key).word[index % 8 / 2];
  return ((word >> (16 * (index % 2)) & 0xFFFF) ^ 0x8000) >= s.threshold;
}

inline float as_float(uint32_t bits) {
  float f;
  std::memcpy(&f, &bits, 4);
  return f;
}
inline uint32_t as_bits(float f) {
  uint32_t bits;
  std::memcpy(&bits, &f, 4);
  return bits;
}

// 16-bit floats through exact scaling by powers of two and the C library's rounding, not through bit tricks.
inline double half_value(uint16_t h, int fraction_bits, int bias) {
  const int exponent_mask = (1 << (15 - fraction_bits)) - 1;
  const int exponent = h >> fraction_bits & exponent_mask, fraction = h & ((1 << fraction_bits) - 1);
  double v = exponent == exponent_mask ? (fraction ? NAN : INFINITY)
             : exponent                ? std::ldexp((1 << fraction_bits) + fraction, exponent - bias - fraction_bits)
                                       : std::ldexp(fraction, 1 - bias - fraction_bits);
  return h & 0x8000 ? -v : v;
}
inline uint16_t half_rounded(double v, int fraction_bits, int bias) {
  const uint16_t sign = std::signbit(v) ? 0x8000 : 0;
  const uint16_t infinity = uint16_t(0x7FFF >> fraction_bits << fraction_bits);
  if (std::isnan(v)) return infinity + 1;
  v = std::fabs(v);
  if (std::isinf(v)) return sign | infinity;
  int exponent = v == 0 ? 1 - bias : std::ilogb(v);
  if (exponent < 1 - bias) exponent = 1 - bias;
  const double unit = std::nearbyint(std::ldexp(v, fraction_bits - exponent));  // in the default mode: nearest even
  const double code = (exponent + bias - 1) * std::ldexp(1, fraction_bits) + unit;
  return code >= infinity ? sign | infinity : sign | uint16_t(code);
}

struct Float32 {
  using S = float;
  static double value(S x) { return x; }
  static S rounded(double v) { return float(v); }
};
struct Float64 {
  using S = double;
  static double value(S x) { return x; }
  static S rounded(double v) { return v; }
};
struct Bfloat16 {
  using S = uint16_t;
  static double value(S x) { return half_value(x, 7, 127); }
  static S rounded(double v) { return half_rounded(v, 7, 127); }
};
struct Float16 {
  using S = uint16_t;
  static double value(S x) { return half_value(x, 10, 15); }
  static S rounded(double v) { return half_rounded(v, 10, 15); }
};

// x * scale as the contract says: in double for float64, in float32 else, then rounded to the type.
template <class F>
typename F::S scaled(typename F::S x, double scale) {
  if (sizeof(typename F::S) == 8) return F::rounded(F::value(x) * scale);
  return F::rounded(float(F::value(x)) * float(scale));
}
template <class F>
bool same(typename F::S a, typename F::S b) {
  if (std::isnan(F::value(a))) return std::isnan(F::value(b));
  return std::memcmp(&a, &b, sizeof a) == 0;
}

// Values of every kind: normal, huge, tiny, subnormal, zeros, infinities, NaN.
template <class F>
std::vector<typename F::S> samples(int64_t n, uint64_t seed = 1) {
  std::vector<typename F::S> x(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i) {
    const Block b = philox(uint64_t(i), 0, seed);
    double v = std::ldexp(double(int32_t(b.word[0])), int(b.word[1] % 8) - 31);
    if (b.word[2] % 64 == 0) v = std::ldexp(v, -135);
    if (b.word[2] % 64 == 1) v = std::ldexp(v, -18);
    if (b.word[2] % 64 == 2) v = std::ldexp(v, 126);
    if (b.word[2] % 64 == 3) v = b.word[3] % 3 == 0 ? 0.0 : b.word[3] % 3 == 1 ? INFINITY : NAN;
    x[size_t(i)] = F::rounded(b.word[3] & 1 ? -v : v);
  }
  return x;
}

inline int failures = 0;

#define CHECK(condition, ...)                                     \
  do {                                                            \
    if (!(condition)) {                                           \
      ++failures;                                                 \
      std::printf("%s:%d: %s: ", __FILE__, __LINE__, #condition); \
      std::printf(__VA_ARGS__);                                   \
      std::printf("\n");                                          \
    }                                                             \
  } while (0)

// Memory between two guards; a write beyond an end shows.
template <class S>
class Guarded {
 public:
  explicit Guarded(int64_t n, int64_t shift = 0) : n_(n), shift_(shift), data_(size_t(n + 2 * kGuard + shift)) {
    std::memset(data_.data(), 0xA5, data_.size() * sizeof(S));
  }
  S* begin() { return data_.data() + kGuard + shift_; }
  S& operator[](int64_t i) { return begin()[i]; }
  bool intact() const {
    const unsigned char* bytes = reinterpret_cast<const unsigned char*>(data_.data());
    const size_t from = size_t(kGuard + shift_) * sizeof(S), to = from + size_t(n_) * sizeof(S);
    for (size_t i = 0; i < data_.size() * sizeof(S); ++i) {
      if ((i < from || i >= to) && bytes[i] != 0xA5) return false;
    }
    return true;
  }

 private:
  static constexpr int64_t kGuard = 64;
  int64_t n_, shift_;
  std::vector<S> data_;
};
