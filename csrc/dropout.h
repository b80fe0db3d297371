/* thinout's CPU kernels: dropout with a counter-based mask, no mask stored, the same bits for every instruction set,
 * thread count, dtype and memory order. The mask contract is in stream.h.
 *
 * Common arguments
 *   dtype        THINOUT_FLOAT32 ...; 16-bit types are computed in float32 and rounded to nearest even.
 *   first_index  mask index of the first element, >= 0.
 *   key, offset  name the stream; threshold is 1 .. 65535 (wide = 0) or 1 .. 2^32 - 1 (wide = 1).
 *   scale        factor of the kept elements.
 *   num_threads  at most so many; small work takes one.
 * Every function returns THINOUT_OK or a negative code, and has then written nothing. */
#ifndef THINOUT_DROPOUT_H
#define THINOUT_DROPOUT_H

#include <stdint.h>

#define THINOUT_API __attribute__((visibility("default")))

#ifdef __cplusplus
extern "C" {
#endif

enum thinout_dtype { THINOUT_FLOAT32 = 0, THINOUT_FLOAT64 = 1, THINOUT_BFLOAT16 = 2, THINOUT_FLOAT16 = 3 };

enum thinout_status {
  THINOUT_OK = 0,
  THINOUT_BAD_POINTER = -1,
  THINOUT_BAD_DTYPE = -2,
  THINOUT_BAD_SIZE = -3,
  THINOUT_BAD_STRIDE = -4,
  THINOUT_BAD_INDEX = -5,
  THINOUT_BAD_THRESHOLD = -6,
  THINOUT_BAD_ISA = -7
};

/* Version of this header. A loader refuses a library that answers another number. */
THINOUT_API int thinout_abi_version(void);

/* The form in force ("avx512", "avx2", "neon", "portable"), the forms that run here (comma separated, best first), and
 * a way for tests to choose. At start the environment variable THINOUT_CPU_ISA names the best form to be used. */
THINOUT_API const char* thinout_isa(void);
THINOUT_API const char* thinout_isa_available(void);
THINOUT_API int thinout_set_isa(const char* name);

/* y[i] = kept(first_index + i) ? x[i] * scale : 0. x == y is allowed. */
THINOUT_API int thinout_dropout(const void* x, void* y, int64_t n, int dtype, int64_t first_index, uint64_t key,
                                uint64_t offset, uint64_t threshold, int wide, double scale, int num_threads);

/* mask[i] = kept(first_index + i). */
THINOUT_API int thinout_mask(uint8_t* mask, int64_t n, int64_t first_index, uint64_t key, uint64_t offset,
                             uint64_t threshold, int wide, int num_threads);

/* The same for arrays of any strides (in elements, >= 0). The element at coordinates c has mask index
 * first_index + sum(c[d] * index_strides[d]); an index stride of 0 shares the mask along d. x may be expanded (stride
 * 0); y may not overlap itself, and one of its dimensions has stride 1. x == y is allowed with equal strides. */
THINOUT_API int thinout_dropout_strided(const void* x, void* y, int dtype, int ndim, const int64_t* sizes,
                                        const int64_t* x_strides, const int64_t* y_strides,
                                        const int64_t* index_strides, int64_t first_index, uint64_t key,
                                        uint64_t offset, uint64_t threshold, int wide, double scale, int num_threads);

THINOUT_API int thinout_mask_strided(uint8_t* mask, int ndim, const int64_t* sizes, const int64_t* mask_strides,
                                     const int64_t* index_strides, int64_t first_index, uint64_t key, uint64_t offset,
                                     uint64_t threshold, int wide, int num_threads);

/* y = dropout(x) + residual, contiguous; x == y or residual == y is allowed. */
THINOUT_API int thinout_dropout_add(const void* x, const void* residual, void* y, int64_t n, int dtype,
                                    int64_t first_index, uint64_t key, uint64_t offset, uint64_t threshold, int wide,
                                    double scale, int num_threads);

#ifdef __cplusplus
}
#endif
#endif
