// Bf16Kernels for AMX: 32 x 32 sums in four tile registers of 16 rows by 16 columns.
#include "cpu/matmul_bf16.h"
#include "cpu/vec.h"
#if defined(__x86_64__)
#include <immintrin.h>

#include <algorithm>
#include <cstring>
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC target("avx512f,avx512vl,avx512bw,avx512dq,avx2,fma,amx-tile,amx-bf16,prefer-vector-width=512")

#ifdef NSA_EMULATE_TILES
#include "tests/emulated_tiles.h"
#define NSA_AMX emulated_amx
#else
#define NSA_AMX amx
#define TILE_ZERO(t) _tile_zero(t)
#define TILE_LOAD(t, from, bytes) _tile_loadd(t, from, bytes)
#define TILE_STORE(t, to, bytes) _tile_stored(t, to, bytes)
#define TILE_DP(c, a, b) _tile_dpbf16ps(c, a, b)
#define TILE_CONFIGURE(config) _tile_loadconfig(config)
#define TILE_RELEASE() _tile_release()
#endif

namespace nsa::cpu::NSA_AMX {
namespace {

constexpr int MR = 32, NR = 32, STEP = 16;
constexpr size_t kRowBytes = kPackedRow * 4, kPanelBytes = NR * 4;

struct alignas(64) TileConfig {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

void begin() {
  static const TileConfig config;
  TILE_CONFIGURE(&config);
}
void end() { TILE_RELEASE(); }

// Rows 0–15 of the tile.
void upper(int64_t words, const uint32_t* a, const uint32_t* b, float* c, int64_t ldc, bool accumulate) {
  const size_t bytes = size_t(ldc) * 4;
  TILE_ZERO(0);
  TILE_ZERO(1);
  if (accumulate) {
    TILE_LOAD(0, c, bytes);
    TILE_LOAD(1, c + 16, bytes);
  }
  for (int64_t l = 0; l < words; l += STEP) {
    TILE_LOAD(4, a + l, kRowBytes);
    TILE_LOAD(6, b + l * NR, kPanelBytes);
    TILE_LOAD(7, b + l * NR + 16, kPanelBytes);
    TILE_DP(0, 4, 6);
    TILE_DP(1, 4, 7);
  }
  TILE_STORE(0, c, bytes);
  TILE_STORE(1, c + 16, bytes);
}

void whole(int64_t words, const uint32_t* a, const uint32_t* b, float* c, int64_t ldc, bool accumulate) {
  const size_t bytes = size_t(ldc) * 4;
  float* lower = c + 16 * ldc;
  TILE_ZERO(0);
  TILE_ZERO(1);
  TILE_ZERO(2);
  TILE_ZERO(3);
  if (accumulate) {
    TILE_LOAD(0, c, bytes);
    TILE_LOAD(1, c + 16, bytes);
    TILE_LOAD(2, lower, bytes);
    TILE_LOAD(3, lower + 16, bytes);
  }
  for (int64_t l = 0; l < words; l += STEP) {
    TILE_LOAD(6, b + l * NR, kPanelBytes);
    TILE_LOAD(4, a + l, kRowBytes);
    TILE_DP(0, 4, 6);
    TILE_LOAD(7, b + l * NR + 16, kPanelBytes);
    TILE_DP(1, 4, 7);
    TILE_LOAD(5, a + 16 * kPackedRow + l, kRowBytes);
    TILE_DP(2, 5, 6);
    TILE_DP(3, 5, 7);
  }
  TILE_STORE(0, c, bytes);
  TILE_STORE(1, c + 16, bytes);
  TILE_STORE(2, lower, bytes);
  TILE_STORE(3, lower + 16, bytes);
}

// Rows that are not there are computed from what the buffer of A holds, and not written.
void tile(int64_t rows, int64_t words, const uint32_t* a, bool, const uint32_t* b, float* c, int64_t ldc, bool accumulate) {
  const auto run = rows > 16 ? whole : upper;
  if (rows % 16 == 0) {
    run(words, a, b, c, ldc, accumulate);
    return;
  }
  float sums[MR * NR];
  if (accumulate)
    for (int64_t i = 0; i < rows; ++i) std::memcpy(sums + i * NR, c + i * ldc, NR * 4);
  run(words, a, b, sums, NR, accumulate);
  for (int64_t i = 0; i < rows; ++i) std::memcpy(c + i * ldc, sums + i * NR, NR * 4);
}

// rows[j] = word j of each of the 16 vectors.
void transpose(__m512i v[16]) {
  __m512i t[16];
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(v[i], v[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(v[i], v[i + 1]);
  }
  for (int i = 0; i < 16; i += 4)
    for (int j = 0; j < 2; ++j) {
      v[i + 2 * j] = _mm512_unpacklo_epi64(t[i + j], t[i + j + 2]);
      v[i + 2 * j + 1] = _mm512_unpackhi_epi64(t[i + j], t[i + j + 2]);
    }
  // v[4·g + c] now has column c of each quarter of the rows 4·g … 4·g + 3.
  for (int c = 0; c < 4; ++c) {
    t[c] = _mm512_shuffle_i32x4(v[c], v[4 + c], 0x88);
    t[4 + c] = _mm512_shuffle_i32x4(v[c], v[4 + c], 0xdd);
    t[8 + c] = _mm512_shuffle_i32x4(v[8 + c], v[12 + c], 0x88);
    t[12 + c] = _mm512_shuffle_i32x4(v[8 + c], v[12 + c], 0xdd);
  }
  for (int c = 0; c < 4; ++c) {
    v[c] = _mm512_shuffle_i32x4(t[c], t[8 + c], 0x88);
    v[8 + c] = _mm512_shuffle_i32x4(t[c], t[8 + c], 0xdd);
    v[4 + c] = _mm512_shuffle_i32x4(t[4 + c], t[12 + c], 0x88);
    v[12 + c] = _mm512_shuffle_i32x4(t[4 + c], t[12 + c], 0xdd);
  }
}

void pack_rows(const uint16_t* src, int64_t ld, int64_t rows, int64_t depth, uint32_t* dst, int64_t words) {
  for (int64_t r = 0; r < rows; r += 16) {
    const int64_t count = std::min<int64_t>(16, rows - r);
    const auto mask = __mmask16((1u << count) - 1);
    for (int64_t w = 0; w < words; w += 16) {
      __m512i v[16];
      for (int64_t p = 0; p < 16; ++p) {
        const int64_t l = 2 * (w + p);
        const uint16_t* even = src + l * ld + r;
        __m512i low = _mm512_setzero_si512(), high = low;
        if (l < depth) low = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, even));
        if (l + 1 < depth) high = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, even + ld));
        v[p] = _mm512_or_si512(low, _mm512_slli_epi32(high, 16));
      }
      transpose(v);
      for (int64_t j = 0; j < count; ++j) _mm512_storeu_si512(dst + (r + j) * kPackedRow + w, v[j]);
    }
  }
}

}  // namespace

extern const Bf16Kernels kBf16;
const Bf16Kernels kBf16 = {MR, NR, STEP, tile, avx512_bf16::pack_panels, pack_rows, begin, end};

}  // namespace nsa::cpu::NSA_AMX
#endif
