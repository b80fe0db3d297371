// Dropout fused with a residual, over Apply of kernel.h. Values are rounded to the dtype where the separate operations
// round, so that the results are theirs bit for bit. (Bias and activation are not fused here: PyTorch's vectors and the
// in-place kernel after them were measured faster.)
#pragma once

#include "series.h"

namespace thinout {
namespace {

// dropout(x) + residual
template <class I, class T>
struct SelectAdd {
  using P = typename I::template Pack<T>;
  static constexpr int kInputs = 2;
  static constexpr bool kBypassCache = false;
  typename P::Scalar scale;

  THINOUT_INLINE auto vector(const typename P::Packed* in, const typename I::Keep& keep, int i) const {
    const auto dropped = P::select(P::pack(P::mul(P::unpack(in[0]), scale)), keep, i);
    return P::pack(P::add(P::unpack(dropped), P::unpack(in[1])));
  }
};

template <class I, class T, class Op>
void run_fused(const Stream& stream, const Op& op, const void* const* in, void* y, int64_t n, uint64_t first) {
  Apply<I, T, Op> apply{op, {}, static_cast<T*>(y)};
  for (int k = 0; k < Op::kInputs; ++k) apply.in[k] = static_cast<const T*>(in[k]);
  walk<I>(stream, first, n, apply);
}

template <class I, class T>
void dropout_add(const Stream& stream, const void* const* in, void* y, int64_t n, uint64_t first) {
  using Op = SelectAdd<I, T>;
  run_fused<I, T>(stream, Op{static_cast<decltype(Op::scale)>(stream.scale)}, in, y, n, first);
}

template <class I>
constexpr Kernels make_kernels(const char* name) {
  return Kernels{
      name,
      {flat<I, float>, flat<I, double>, flat<I, bfloat16>, flat<I, float16>, flat<I, keep8>},
      {runs<I, float>, runs<I, double>, runs<I, bfloat16>, runs<I, float16>, runs<I, keep8>},
      {rows<I, float>, rows<I, double>, rows<I, bfloat16>, rows<I, float16>, rows<I, keep8>},
      {repeat<I, float>, repeat<I, double>, repeat<I, bfloat16>, repeat<I, float16>, repeat<I, keep8>},
      bits<I>,
      transpose<I>,
      transpose_words<I>,
      interleave<I>,
      I::fence,
      {dropout_add<I, float>, dropout_add<I, double>, dropout_add<I, bfloat16>, dropout_add<I, float16>},
  };
}

}  // namespace
}  // namespace thinout
