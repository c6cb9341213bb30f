// Bf16Kernels for AVX512-BF16: 12 x 32 sums in 24 registers.
#include "cpu/matmul_bf16.h"
#include "cpu/vec.h"
#if defined(__x86_64__)
#include <immintrin.h>

#include <algorithm>
// GCC 12 takes the undefined upper half of its own intrinsics for a mistake.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC target("avx512f,avx512vl,avx512bw,avx512dq,avx512bf16,avx2,fma,prefer-vector-width=512")

namespace nsa::cpu::avx512_bf16 {
namespace {

constexpr int MR = 12, NR = 32;

template <int M, bool BY_ROWS>
void tile(int64_t pairs, const uint32_t* a, const uint32_t* b, float* c, int64_t ldc, bool accumulate) {
  __m512 acc[M][2];
  for (int i = 0; i < M; ++i)
    for (int j = 0; j < 2; ++j) acc[i][j] = accumulate ? _mm512_loadu_ps(c + i * ldc + j * 16) : _mm512_setzero_ps();
  for (int64_t l = 0; l < pairs; ++l) {
    auto b0 = (__m512bh)_mm512_loadu_si512(b), b1 = (__m512bh)_mm512_loadu_si512(b + 16);
#pragma GCC unroll 16
    for (int i = 0; i < M; ++i) {
      auto x = (__m512bh)_mm512_set1_epi32(int(a[BY_ROWS ? i * kPackedRow : i]));
      acc[i][0] = _mm512_dpbf16_ps(acc[i][0], x, b0);
      acc[i][1] = _mm512_dpbf16_ps(acc[i][1], x, b1);
    }
    a += BY_ROWS ? 1 : MR;
    b += NR;
  }
  for (int i = 0; i < M; ++i)
    for (int j = 0; j < 2; ++j) _mm512_storeu_ps(c + i * ldc + j * 16, acc[i][j]);
}

using Tile = void (*)(int64_t, const uint32_t*, const uint32_t*, float*, int64_t, bool);
template <bool BY_ROWS>
constexpr Tile kTiles[] = {tile<1, BY_ROWS>, tile<2, BY_ROWS>, tile<3, BY_ROWS>,  tile<4, BY_ROWS>,
                           tile<5, BY_ROWS>, tile<6, BY_ROWS>, tile<7, BY_ROWS>,  tile<8, BY_ROWS>,
                           tile<9, BY_ROWS>, tile<10, BY_ROWS>, tile<11, BY_ROWS>, tile<12, BY_ROWS>};

void any_tile(int64_t rows, int64_t pairs, const uint32_t* a, bool a_by_rows, const uint32_t* b, float* c, int64_t ldc,
              bool accumulate) {
  (a_by_rows ? kTiles<true> : kTiles<false>)[rows - 1](pairs, a, b, c, ldc, accumulate);
}

// dst[j] = (even[j], odd[j]) for j < WIDTH, at most 32.
template <int WIDTH>
void pair_words(const uint16_t* even, const uint16_t* odd, uint32_t* dst) {
  constexpr int FULL = WIDTH / 16, REST = WIDTH % 16;
  for (int i = 0; i < FULL; ++i) {
    __m512i lo = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(even + 16 * i)));
    __m512i hi = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(odd + 16 * i)));
    _mm512_storeu_si512(dst + 16 * i, _mm512_or_si512(lo, _mm512_slli_epi32(hi, 16)));
  }
  if constexpr (REST > 0) {
    constexpr __mmask16 mask = (1 << REST) - 1;
    __m512i lo = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, even + 16 * FULL));
    __m512i hi = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, odd + 16 * FULL));
    _mm512_mask_storeu_epi32(dst + 16 * FULL, mask, _mm512_or_si512(lo, _mm512_slli_epi32(hi, 16)));
  }
}

}  // namespace

void pack_panels(const uint16_t* src, int64_t ld, int64_t rows, int64_t depth, uint32_t* dst, int64_t width, int64_t words) {
  for (int64_t r = 0; r < rows; r += width) {
    int64_t count = std::min(width, rows - r), l = 0;
    if (count == width && (width == MR || width == NR))
      for (; l + 1 < depth; l += 2, dst += width)
        (width == MR ? pair_words<MR> : pair_words<NR>)(src + l * ld + r, src + (l + 1) * ld + r, dst);
    for (; l < depth; l += 2, dst += width) {
      const uint16_t *even = src + l * ld + r, *odd = even + ld;
      if (l + 1 < depth)
        for (int64_t j = 0; j < count; ++j) dst[j] = uint32_t(even[j]) | uint32_t(odd[j]) << 16;
      else
        for (int64_t j = 0; j < count; ++j) dst[j] = even[j];
      for (int64_t j = count; j < width; ++j) dst[j] = 0;
    }
    const int64_t rest = (words - (depth + 1) / 2) * width;
    std::fill_n(dst, rest, 0);
    dst += rest;
  }
}

extern const Bf16Kernels kBf16;
const Bf16Kernels kBf16 = {MR, NR, 1, any_tile, pack_panels, nullptr, nullptr, nullptr};

}  // namespace nsa::cpu::avx512_bf16
#endif
