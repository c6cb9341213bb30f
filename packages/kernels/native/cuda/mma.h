// Tensor-core building blocks: asynchronous copies, ldmatrix, mma.m16n8k16, and the swizzled tile all kernels share.
//
// Fragments of one m16n8k16 (lane = 4·g + q): C holds (row g, cols 2q, 2q+1) in c[0..1] and (row g+8, ...) in c[2..3];
// A holds rows g, g+8 of columns 2q.. and 2q+8..; B two registers of rows (k) 2q.. and 2q+8.. of column g.
#pragma once
#include <cuda_bf16.h>
#include <stdint.h>

namespace nsa::cuda {

using bf16 = __nv_bfloat16;

__device__ inline uint32_t smem_address(const void* p) { return uint32_t(__cvta_generic_to_shared(p)); }

// 16 bytes from global to shared memory; zeros when not `valid`. Both addresses 16-byte aligned; `from` must be readable
// memory only when valid.
__device__ inline void copy_async(uint32_t to, const void* from, bool valid) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(valid ? 16 : 0) : "memory");
}
// The same for 8 bytes.
__device__ inline void copy_async_8(uint32_t to, const void* from, bool valid) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 8, %2;" ::"r"(to), "l"(from), "r"(valid ? 8 : 0) : "memory");
}
__device__ inline void copy_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// Waits until at most N of this thread's groups are under way. A barrier must follow before other threads' copies are read.
template <int N>
__device__ inline void copy_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}

// Four 8×8 matrices of 16-bit elements; lane i gives the address of row i%8 of matrix i/8.
__device__ inline void ldmatrix(uint32_t (&r)[4], uint32_t address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
}
__device__ inline void ldmatrix_trans(uint32_t (&r)[4], uint32_t address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
}

// c += a·b, bf16 operands, f32 accumulators.
__device__ inline void mma_bf16(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// Two floats as a bf16 pair, `lo` in the low half.
__device__ inline uint32_t pack_bf16(float lo, float hi) {
  uint32_t r;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(hi), "f"(lo));
  return r;
}

// 2^x within 2 ulp; 2^−inf = 0.
__device__ inline float exp2_fast(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// A [rows, cols] bf16 tile in shared memory as panels of 64 columns; a panel's rows are 128 bytes and its 16-byte chunks are
// XOR-swizzled by the row, which is the 128-byte swizzle of wgmma and free of bank conflicts for ldmatrix. The base must
// be 1024-byte aligned. `rows` is the height of the tile (a multiple of 8), cols a multiple of 64.
__device__ inline uint32_t tile_offset(int rows, int row, int col) {
  return uint32_t((col >> 6) * rows * 128 + row * 128 + ((((col >> 3) & 7) ^ (row & 7)) << 4));
}

// Lane addresses of fragments at (row0, col 0) of a tile. The swizzle is an exclusive or of address bits 4-6, so a fragment at
// column c is at (base ^ (c/8 << 4)) of panel c/64, and one 8·n rows further down n·1024 bytes later.
__device__ inline uint32_t a_base(uint32_t tile, int row0) {
  int lane = threadIdx.x & 31;
  return tile + tile_offset(0, row0 + (lane & 15), (lane >> 4) * 8);
}
__device__ inline uint32_t b_base(uint32_t tile) {
  int lane = threadIdx.x & 31;
  return tile + tile_offset(0, (lane & 7) + ((lane >> 4) << 3), ((lane >> 3) & 1) * 8);
}
__device__ inline uint32_t b_trans_base(uint32_t tile) {
  int lane = threadIdx.x & 31;
  return tile + tile_offset(0, (lane & 7) + ((lane >> 3) & 1) * 8, (lane >> 4) * 8);
}
__device__ inline uint32_t at_column(uint32_t base, int rows, int col) { return (base ^ uint32_t((col & 63) << 1)) + uint32_t((col >> 6) * rows * 128); }

// The A fragment of columns col..+15, from a_base.
__device__ inline void load_a_at(uint32_t (&a)[4], uint32_t base, int rows, int col) { ldmatrix(a, at_column(base, rows, col)); }
// B fragments of two n8 tiles from a tile stored [n, k], from b_base: b[0..1] for rows n..+7, b[2..3] for n+8..+15; columns k..+15.
__device__ inline void load_b_at(uint32_t (&b)[4], uint32_t base, int rows, int n, int k) { ldmatrix(b, at_column(base, rows, k) + n * 128); }
// The same from a tile stored [k, n], from b_trans_base.
__device__ inline void load_b_trans_at(uint32_t (&b)[4], uint32_t base, int rows, int k, int n) {
  ldmatrix_trans(b, at_column(base, rows, n) + k * 128);
}

// One-off forms of the three.
__device__ inline void load_a(uint32_t (&a)[4], uint32_t tile, int rows, int row0, int col0) { load_a_at(a, a_base(tile, row0), rows, col0); }
__device__ inline void load_b(uint32_t (&b)[4], uint32_t tile, int rows, int n0, int k0) { load_b_at(b, b_base(tile), rows, n0, k0); }
__device__ inline void load_b_trans(uint32_t (&b)[4], uint32_t tile, int rows, int k0, int n0) {
  load_b_trans_at(b, b_trans_base(tile), rows, k0, n0);
}

// Starts copying rows [0, valid) × [0, dim) of a row-major bf16 matrix (rows ld elements apart, 16-byte aligned, dim a
// multiple of 8) into a ROWS × COLS tile; the rest of the tile becomes zero. Every thread of the block calls it.
template <int ROWS, int COLS, int THREADS>
__device__ inline void load_tile(uint32_t tile, const bf16* from, int64_t ld, int valid, int dim) {
  constexpr int chunks = COLS / 8;
  if constexpr (THREADS % chunks == 0 && ROWS % (THREADS / chunks) == 0) {
    // A thread keeps its column and steps down by a power of two of rows: what changes in the swizzle are known bits.
    constexpr int step = THREADS / chunks;
    static_assert((step & (step - 1)) == 0);
    int row = int(threadIdx.x) / chunks, col = int(threadIdx.x) % chunks * 8;
    bool column = col < dim;
    const bf16* p = from + row * ld + col;
    uint32_t to = tile + tile_offset(ROWS, row, col);
#pragma unroll
    for (int i = 0; i < ROWS / step; ++i) {
      bool inside = column && row + i * step < valid;
      copy_async((to ^ uint32_t((i * step & 7) << 4)) + i * step * 128, inside ? p : from, inside);
      p += step * ld;
    }
  } else {
#pragma unroll 4
    for (int at = int(threadIdx.x); at < ROWS * chunks; at += THREADS) {
      int row = at / chunks, col = at % chunks * 8;
      bool inside = row < valid && col < dim;
      copy_async(tile + tile_offset(ROWS, row, col), inside ? from + row * ld + col : from, inside);
    }
  }
}

}  // namespace nsa::cuda
