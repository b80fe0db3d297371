// The fused form: equal to the separate steps, each rounded to the dtype.
#include "dropout.h"
#include "oracle.h"
#include "tests.h"

namespace {

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
void check_all(int dtype, const Spec& s) {
  for (int64_t n : {0, 1, 63, 64, 200, 1000}) check_add<F>(dtype, s, n, 1);
  check_add<F>(dtype, s, 20000, 3);
}

}  // namespace

void test_fused() {
  Spec wide;
  wide.wide = 1;
  wide.threshold = 1288490189;
  for (const Spec& s : {Spec{}, wide}) {
    check_all<Float32>(THINOUT_FLOAT32, s);
    check_all<Float64>(THINOUT_FLOAT64, s);
    check_all<Bfloat16>(THINOUT_BFLOAT16, s);
    check_all<Float16>(THINOUT_FLOAT16, s);
  }
  float v = 1;
  CHECK(thinout_dropout_add(&v, nullptr, &v, 1, 0, 0, 1, 0, 1, 0, 1.0, 1) == THINOUT_BAD_POINTER, "no residual");
  CHECK(thinout_dropout_add(&v, &v, &v, -1, 0, 0, 1, 0, 1, 0, 1.0, 1) == THINOUT_BAD_SIZE, "negative size");
  CHECK(thinout_dropout_add(&v, &v, &v, 1, 9, 0, 1, 0, 1, 0, 1.0, 1) == THINOUT_BAD_DTYPE, "dtype 9");
}
