// Transposed packing of matrices for one ISA: src [count, k] with rows ld apart → dst [k, width], zeros behind column `count`.
// Included by vec_impl.h inside its namespace.
inline void transpose_4x4(const float* src, int64_t ld, float* dst, int64_t width) {
  v4 r[4];
  for (int i = 0; i < 4; ++i) std::memcpy(&r[i], src + i * ld, 16);
  v4 a = __builtin_shufflevector(r[0], r[1], 0, 4, 1, 5), b = __builtin_shufflevector(r[0], r[1], 2, 6, 3, 7);
  v4 c = __builtin_shufflevector(r[2], r[3], 0, 4, 1, 5), d = __builtin_shufflevector(r[2], r[3], 2, 6, 3, 7);
  v4 out[4] = {__builtin_shufflevector(a, c, 0, 1, 4, 5), __builtin_shufflevector(a, c, 2, 3, 6, 7),
               __builtin_shufflevector(b, d, 0, 1, 4, 5), __builtin_shufflevector(b, d, 2, 3, 6, 7)};
  for (int i = 0; i < 4; ++i) std::memcpy(dst + i * width, &out[i], 16);
}

#if NSA_W == 16
inline void transpose_16x16(const float* src, int64_t ld, float* dst, int64_t width) {
  __m512d a[16], b[16];
  for (int i = 0; i < 16; ++i) a[i] = _mm512_loadu_pd(src + i * ld);
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) {
    __m512 x = (__m512)a[2 * i], y = (__m512)a[2 * i + 1];
    b[2 * i] = (__m512d)_mm512_maskz_unpacklo_ps(0xffff, x, y);
    b[2 * i + 1] = (__m512d)_mm512_maskz_unpackhi_ps(0xffff, x, y);
  }
  // After this a[4g + c] holds column c of every four columns, rows 4g..4g+3.
#pragma GCC unroll 4
  for (int g = 0; g < 4; ++g) {
    a[4 * g] = _mm512_maskz_unpacklo_pd(0xff, b[4 * g], b[4 * g + 2]);
    a[4 * g + 1] = _mm512_maskz_unpackhi_pd(0xff, b[4 * g], b[4 * g + 2]);
    a[4 * g + 2] = _mm512_maskz_unpacklo_pd(0xff, b[4 * g + 1], b[4 * g + 3]);
    a[4 * g + 3] = _mm512_maskz_unpackhi_pd(0xff, b[4 * g + 1], b[4 * g + 3]);
  }
#pragma GCC unroll 4
  for (int c = 0; c < 4; ++c) {
    __m512d r01 = _mm512_maskz_shuffle_f64x2(0xff, a[c], a[4 + c], 0x88), r23 = _mm512_maskz_shuffle_f64x2(0xff, a[8 + c], a[12 + c], 0x88);
    __m512d s01 = _mm512_maskz_shuffle_f64x2(0xff, a[c], a[4 + c], 0xdd), s23 = _mm512_maskz_shuffle_f64x2(0xff, a[8 + c], a[12 + c], 0xdd);
    _mm512_storeu_pd(dst + c * width, _mm512_maskz_shuffle_f64x2(0xff, r01, r23, 0x88));
    _mm512_storeu_pd(dst + (4 + c) * width, _mm512_maskz_shuffle_f64x2(0xff, s01, s23, 0x88));
    _mm512_storeu_pd(dst + (8 + c) * width, _mm512_maskz_shuffle_f64x2(0xff, r01, r23, 0xdd));
    _mm512_storeu_pd(dst + (12 + c) * width, _mm512_maskz_shuffle_f64x2(0xff, s01, s23, 0xdd));
  }
}
#endif

void pack_transposed(const float* src, int64_t ld, int64_t count, int64_t k, float* dst, int64_t width) {
  int64_t j = 0;
#if NSA_W == 16
  for (; j + 16 <= count; j += 16) {
    int64_t l = 0;
    for (; l + 16 <= k; l += 16) transpose_16x16(src + j * ld + l, ld, dst + l * width + j, width);
    for (; l < k; ++l)
      for (int i = 0; i < 16; ++i) dst[l * width + j + i] = src[(j + i) * ld + l];
  }
#endif
  for (; j + 4 <= count; j += 4) {
    int64_t l = 0;
    for (; l + 4 <= k; l += 4) transpose_4x4(src + j * ld + l, ld, dst + l * width + j, width);
    for (; l < k; ++l)
      for (int i = 0; i < 4; ++i) dst[l * width + j + i] = src[(j + i) * ld + l];
  }
  for (; j < width; ++j)
    for (int64_t l = 0; l < k; ++l) dst[l * width + j] = j < count ? src[j * ld + l] : 0.f;
}
