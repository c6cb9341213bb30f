// The register tile of the matrix product for bf16 operands on machines with a bf16 dot product.
#pragma once
#include <cstdint>

namespace nsa::cpu {

// Operands are packed as pairs of k: one 32-bit word holds (k, k + 1), a missing last k is 0, and so are the pairs up to a whole `step`.
struct Bf16Kernels {
  int64_t mr, nr, step;
  // c[rows, nr] (+)= a·b over `pairs` pairs, b packed [pair][nr], a packed [pair][mr] or as rows of kPackedRow words;
  // rows <= mr. Every element is one chain in order of k, f32 sums rounded to nearest even, denormals as zero. AVX512: one of vdpbf16ps, per
  // pair, odd k first, then even. AMX: of the sums of 16 pairs each, in which even and odd k are summed apart.
  void (*tile)(int64_t rows, int64_t pairs, const uint32_t* a, bool a_by_rows, const uint32_t* b, float* c, int64_t ldc, bool accumulate);
  // Panels of `width` rows that lie k-major (row r, k l at src[l·ld + r]): dst[panel][pair][width] with `words` pairs, 0 past the end.
  void (*pack_panels)(const uint16_t* src, int64_t ld, int64_t rows, int64_t depth, uint32_t* dst, int64_t width, int64_t words);
  // Where the tile takes A by rows alone: rows of kPackedRow words from k-major ones; null elsewhere.
  void (*pack_rows)(const uint16_t* src, int64_t ld, int64_t rows, int64_t depth, uint32_t* dst, int64_t words);
  // Around the tiles of a task, on its thread; null where there is nothing to do.
  void (*begin)();
  void (*end)();
};

namespace avx512_bf16 {
extern const Bf16Kernels kBf16;
void pack_panels(const uint16_t* src, int64_t ld, int64_t rows, int64_t depth, uint32_t* dst, int64_t width, int64_t words);
}
namespace amx {
extern const Bf16Kernels kBf16;
}

}  // namespace nsa::cpu
