// Dropout fused with its neighbours, over Apply of kernel.h. Values are rounded to the dtype where the separate
// operations round, so that the results are theirs bit for bit (GELU: up to the error of its own formula).
#pragma once

#include "gelu.h"
#include "kernel.h"

namespace thinout {
namespace {

// dropout(x) + residual
template <class I, class T>
struct SelectAdd {
  using P = typename I::template Pack<T>;
  static constexpr int kInputs = 2;
  static constexpr bool kBypassCache = false, kInline = true;
  typename P::Scalar scale;

  THINOUT_INLINE auto vector(const typename P::Packed* in, const typename I::Keep& keep, int i) const {
    const auto dropped = P::select(P::pack(P::mul(P::unpack(in[0]), scale)), keep, i);
    return P::pack(P::add(P::unpack(dropped), P::unpack(in[1])));
  }
};

// f applied to each element of a register, or of two: loops that the compiler turns into vectors.
template <class P, class R, class F>
THINOUT_INLINE R map(const R& a, const R& b, F f) {
  typename P::Scalar x[P::kLanes], y[P::kLanes];
  static_assert(sizeof x == sizeof a, "a register holds kLanes elements of Scalar");
  std::memcpy(x, &a, sizeof x);
  std::memcpy(y, &b, sizeof y);
  for (int i = 0; i < P::kLanes; ++i) x[i] = f(x[i], y[i]);
  R result;
  std::memcpy(&result, x, sizeof x);
  return result;
}

// dropout(activation(x + bias))
template <class I, class T>
struct BiasAct {
  using P = typename I::template Pack<T>;
  using S = typename P::Scalar;
  static constexpr int kInputs = 2;
  static constexpr bool kBypassCache = false, kInline = false;
  S scale;
  int activation;

  THINOUT_INLINE auto vector(const typename P::Packed* in, const typename I::Keep& keep, int i) const {
    auto h = P::unpack(P::pack(P::add(P::unpack(in[0]), P::unpack(in[1]))));
    if (activation == kRelu) h = map<P>(h, h, [](S v, S) { return v < 0 ? S{0} : v; });
    if (activation == kGelu) h = P::unpack(P::pack(map<P>(h, h, [](S v, S) { return gelu(v); })));
    return P::select(P::pack(P::mul(h, scale)), keep, i);
  }
};

// The gradient of x in BiasAct: dropout(grad) * activation'(x + bias)
template <class I, class T>
struct BiasActBackward {
  using P = typename I::template Pack<T>;
  using S = typename P::Scalar;
  static constexpr int kInputs = 3;
  static constexpr bool kBypassCache = false, kInline = false;
  S scale;
  int activation;

  THINOUT_INLINE auto vector(const typename P::Packed* in, const typename I::Keep& keep, int i) const {
    const auto dropped = P::select(P::pack(P::mul(P::unpack(in[0]), scale)), keep, i);
    const auto h = P::unpack(P::pack(P::add(P::unpack(in[1]), P::unpack(in[2]))));
    const auto grad = P::unpack(dropped);
    if (activation == kRelu) return P::pack(map<P>(grad, h, [](S g, S v) { return v <= 0 ? S{0} : g; }));
    if (activation == kGelu) return P::pack(map<P>(grad, h, [](S g, S v) { return gelu_gradient(g, v); }));
    return dropped;
  }
};

template <class I, class T, class Op>
void run_fused(const Stream& stream, const Op& op, const void* const* in, void* y, int64_t n, uint64_t first) {
  Apply<I, T, Op> apply{op, {}, static_cast<T*>(y)};
  for (int k = 0; k < Op::kInputs; ++k) apply.in[k] = static_cast<const T*>(in[k]);
  walk<I>(stream, first, n, apply);
}

template <class I, class T>
void dropout_add(const Stream& stream, const void* const* in, void* y, int64_t n, uint64_t first, int) {
  using Op = SelectAdd<I, T>;
  run_fused<I, T>(stream, Op{static_cast<decltype(Op::scale)>(stream.scale)}, in, y, n, first);
}

template <class I, class T>
void bias_act(const Stream& stream, const void* const* in, void* y, int64_t n, uint64_t first, int activation) {
  using Op = BiasAct<I, T>;
  run_fused<I, T>(stream, Op{static_cast<typename Op::S>(stream.scale), activation}, in, y, n, first);
}

template <class I, class T>
void bias_act_backward(const Stream& stream, const void* const* in, void* y, int64_t n, uint64_t first,
                       int activation) {
  using Op = BiasActBackward<I, T>;
  run_fused<I, T>(stream, Op{static_cast<typename Op::S>(stream.scale), activation}, in, y, n, first);
}

template <class I>
constexpr Kernels make_kernels(const char* name) {
  return Kernels{
      name,
      {flat<I, float>, flat<I, double>, flat<I, bfloat16>, flat<I, float16>, flat<I, keep8>},
      {select<I, float>, select<I, double>, select<I, bfloat16>, select<I, float16>, select<I, keep8>},
      bits<I>,
      I::fence,
      {dropout_add<I, float>, dropout_add<I, double>, dropout_add<I, bfloat16>, dropout_add<I, float16>},
      {bias_act<I, float>, bias_act<I, double>, bias_act<I, bfloat16>, bias_act<I, float16>},
      {bias_act_backward<I, float>, bias_act_backward<I, double>, bias_act_backward<I, bfloat16>,
       bias_act_backward<I, float16>},
  };
}

}  // namespace
}  // namespace thinout
