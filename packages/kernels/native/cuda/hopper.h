// Hopper building blocks: matrix products of a warpgroup (wgmma) on the swizzled tiles of mma.h, mbarriers, register shares.
//
// A warpgroup is 4 warps whose first index is a multiple of 4. Accumulators of a [64, N] product: lane 4·g + q of warp w holds
// rows 16·w + g (d[4·n], d[4·n + 1]) and 16·w + g + 8 (d[4·n + 2], d[4·n + 3]) of columns 8·n + 2·q and the next.
#pragma once
#include <cuda.h>

#include "cuda/mma.h"

// Code of sm_90a alone; kernels have an empty body elsewhere and are never launched there.
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define NSA_HOPPER 1
#endif

namespace nsa::cuda {

#ifdef NSA_HOPPER

// Descriptor of an operand in a tile of 64-column panels (128-byte swizzle): groups of 8 rows are 1024 bytes apart. `panel`,
// bytes between panels, matters for operands whose contiguous side is the long one. Moving by bytes adds bytes / 16.
__device__ inline uint64_t operand(uint32_t address, uint32_t panel) {
  return uint64_t((address & 0x3ffff) >> 4) | uint64_t(panel >> 4) << 16 | uint64_t(1024 >> 4) << 32 | uint64_t(1) << 62;
}
// The operand of columns 16·k.. of a tile of `rows` rows, contracted over its columns.
__device__ constexpr uint64_t column_step(int k, int rows) { return uint64_t((k >> 2) * rows * 128 + (k & 3) * 32) >> 4; }
// The operand of rows 16·k.. of a tile, contracted over its rows.
__device__ constexpr uint64_t row_step(int k) { return uint64_t(k) * (2048 >> 4); }

__device__ inline void wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ inline void wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int N>
__device__ inline void wgmma_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(N) : "memory");
}
// Keeps the compiler from moving accesses of these registers across this point.
template <int N>
__device__ inline void hold(float (&d)[N]) {
#pragma unroll
  for (int i = 0; i < N; ++i) asm volatile("" : "+f"(d[i])::"memory");
}

template <int N>
struct Wgmma;

template <>
struct Wgmma<64> {
  // d = (or +=, with `add`) A·Bᵀ: A [64, 16] and B [64, 16], both K-major in shared memory.
  __device__ static void ss(float (&d)[32], uint64_t a, uint64_t b, int add) {
    asm volatile(
      "{\n.reg .pred p;\nsetp.ne.b32 p, %34, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {"
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}, "
      "%32, %33, p, 1, 1, 0, 0;\n}"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]),
        "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15]),
        "+f"(d[16]), "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]), "+f"(d[21]), "+f"(d[22]), "+f"(d[23]),
        "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27]), "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31])
      : "l"(a), "l"(b), "r"(add));
  }
  // d = (or +=, with `add`) A·B: A [16, 64] read transposed and B [16, 64], both in shared memory with their 64 sides contiguous.
  __device__ static void ss_rows(float (&d)[32], uint64_t a, uint64_t b, int add) {
    asm volatile(
      "{\n.reg .pred p;\nsetp.ne.b32 p, %34, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {"
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}, "
      "%32, %33, p, 1, 1, 1, 1;\n}"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]),
        "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15]),
        "+f"(d[16]), "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]), "+f"(d[21]), "+f"(d[22]), "+f"(d[23]),
        "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27]), "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31])
      : "l"(a), "l"(b), "r"(add));
  }
  // d += A·B: A [64, 16] in registers, B [16, 64] in shared memory with its 64 side contiguous.
  __device__ static void rs(float (&d)[32], const uint32_t* a, uint64_t b) {
    asm volatile(
      "{\n.reg .pred p;\nsetp.eq.b32 p, 0, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {"
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}, "
      "{%32, %33, %34, %35}, %36, p, 1, 1, 1;\n}"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]),
        "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15]),
        "+f"(d[16]), "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]), "+f"(d[21]), "+f"(d[22]), "+f"(d[23]),
        "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27]), "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
  }
};
template <>
struct Wgmma<96> {
  // d = (or +=, with `add`) A·Bᵀ: A [64, 16] and B [96, 16], both K-major in shared memory.
  __device__ static void ss(float (&d)[48], uint64_t a, uint64_t b, int add) {
    asm volatile(
      "{\n.reg .pred p;\nsetp.ne.b32 p, %50, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n96k16.f32.bf16.bf16 {"
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
      "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47}, "
      "%48, %49, p, 1, 1, 0, 0;\n}"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]),
        "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15]),
        "+f"(d[16]), "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]), "+f"(d[21]), "+f"(d[22]), "+f"(d[23]),
        "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27]), "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31]),
        "+f"(d[32]), "+f"(d[33]), "+f"(d[34]), "+f"(d[35]), "+f"(d[36]), "+f"(d[37]), "+f"(d[38]), "+f"(d[39]),
        "+f"(d[40]), "+f"(d[41]), "+f"(d[42]), "+f"(d[43]), "+f"(d[44]), "+f"(d[45]), "+f"(d[46]), "+f"(d[47])
      : "l"(a), "l"(b), "r"(add));
  }
};
template <>
struct Wgmma<128> {
  // d = (or +=, with `add`) A·Bᵀ: A [64, 16] and B [128, 16], both K-major in shared memory.
  __device__ static void ss(float (&d)[64], uint64_t a, uint64_t b, int add) {
    asm volatile(
      "{\n.reg .pred p;\nsetp.ne.b32 p, %66, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {"
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
      "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
      "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, "
      "%64, %65, p, 1, 1, 0, 0;\n}"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]),
        "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15]),
        "+f"(d[16]), "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]), "+f"(d[21]), "+f"(d[22]), "+f"(d[23]),
        "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27]), "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31]),
        "+f"(d[32]), "+f"(d[33]), "+f"(d[34]), "+f"(d[35]), "+f"(d[36]), "+f"(d[37]), "+f"(d[38]), "+f"(d[39]),
        "+f"(d[40]), "+f"(d[41]), "+f"(d[42]), "+f"(d[43]), "+f"(d[44]), "+f"(d[45]), "+f"(d[46]), "+f"(d[47]),
        "+f"(d[48]), "+f"(d[49]), "+f"(d[50]), "+f"(d[51]), "+f"(d[52]), "+f"(d[53]), "+f"(d[54]), "+f"(d[55]),
        "+f"(d[56]), "+f"(d[57]), "+f"(d[58]), "+f"(d[59]), "+f"(d[60]), "+f"(d[61]), "+f"(d[62]), "+f"(d[63])
      : "l"(a), "l"(b), "r"(add));
  }
  // d += A·B: A [64, 16] in registers, B [16, 128] in shared memory with its 128 side contiguous.
  __device__ static void rs(float (&d)[64], const uint32_t* a, uint64_t b) {
    asm volatile(
      "{\n.reg .pred p;\nsetp.eq.b32 p, 0, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {"
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
      "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
      "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, "
      "{%64, %65, %66, %67}, %68, p, 1, 1, 1;\n}"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]),
        "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15]),
        "+f"(d[16]), "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]), "+f"(d[21]), "+f"(d[22]), "+f"(d[23]),
        "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27]), "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31]),
        "+f"(d[32]), "+f"(d[33]), "+f"(d[34]), "+f"(d[35]), "+f"(d[36]), "+f"(d[37]), "+f"(d[38]), "+f"(d[39]),
        "+f"(d[40]), "+f"(d[41]), "+f"(d[42]), "+f"(d[43]), "+f"(d[44]), "+f"(d[45]), "+f"(d[46]), "+f"(d[47]),
        "+f"(d[48]), "+f"(d[49]), "+f"(d[50]), "+f"(d[51]), "+f"(d[52]), "+f"(d[53]), "+f"(d[54]), "+f"(d[55]),
        "+f"(d[56]), "+f"(d[57]), "+f"(d[58]), "+f"(d[59]), "+f"(d[60]), "+f"(d[61]), "+f"(d[62]), "+f"(d[63])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
  }
};

// s [64, BN] = A·Bᵀ over D columns: A at rows of a tile of AR rows, B a tile of BN rows.
template <int D, int BN, int AR>
__device__ inline void product_ss(float (&s)[BN / 2], uint64_t a, uint64_t b) {
#pragma unroll
  for (int k = 0; k < D / 16; ++k) Wgmma<BN>::ss(s, a + column_step(k, AR), b + column_step(k, BN), k > 0);
}
// acc [64, D] += x [64, BN]·B, x packed by pack_a, B a tile of BN rows.
template <int D, int BN>
__device__ inline void product_rs(float (&acc)[D / 2], const uint32_t (&x)[BN / 4], uint64_t b) {
#pragma unroll
  for (int k = 0; k < BN / 16; ++k) Wgmma<D>::rs(acc, x + 4 * k, b + row_step(k));
}
// An accumulator as the left operand of the next product. Fragment k of 16 columns is x[4·k .. 4·k + 3].
template <int N>
__device__ inline void pack_a(uint32_t (&x)[N / 2], const float (&s)[N]) {
#pragma unroll
  for (int i = 0; i < N / 2; ++i) x[i] = pack_bf16(s[2 * i], s[2 * i + 1]);
}

__device__ inline void barrier_init(uint32_t barrier, uint32_t arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals) : "memory");
}
__device__ inline void barrier_arrive(uint32_t barrier) {
  asm volatile("{\n.reg .b64 state;\nmbarrier.arrive.shared::cta.b64 state, [%0];\n}" ::"r"(barrier) : "memory");
}
__device__ inline bool barrier_test(uint32_t barrier, uint32_t parity) {
  uint32_t done;
  asm volatile("{\n.reg .pred p;\nmbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\nselp.u32 %0, 1, 0, p;\n}"
               : "=r"(done)
               : "r"(barrier), "r"(parity)
               : "memory");
  return done != 0;
}
// Until the phase of this parity is over. A fresh barrier counts as past its phase 1.
__device__ inline void barrier_wait(uint32_t barrier, uint32_t parity) {
  while (!barrier_test(barrier, parity)) {
  }
}
// One arrival a warp, after all its lanes have read; `all`: one a lane.
__device__ inline void release(uint32_t barrier, bool all = false) {
  __syncwarp();
  if (all || (threadIdx.x & 31) == 0) barrier_arrive(barrier);
}
// Makes this thread's finished writes to shared memory visible to wgmma.
__device__ inline void fence_async_proxy() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

template <int N>
__device__ inline void registers_down() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(N));
}
template <int N>
__device__ inline void registers_up() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(N));
}

// A producer thread's copies under way: a buffer is announced when the copies of the one after it have been started, or
// before the thread has to wait. Every producer thread announces for itself.
struct Producer {
  uint32_t pending = 0;

  // Waits until a buffer is free, with all copies announced so that nobody waits for this thread.
  __device__ void acquire(uint32_t empty, uint32_t parity) {
    if (barrier_test(empty, parity)) return;
    flush();
    barrier_wait(empty, parity);
  }
  __device__ void announce(uint32_t full) {
    copy_commit();
    if (pending) {
      copy_wait<1>();
      fence_async_proxy();
      barrier_arrive(pending);
    }
    pending = full;
  }
  __device__ void flush() {
    if (!pending) return;
    copy_wait<0>();
    fence_async_proxy();
    barrier_arrive(pending);
    pending = 0;
  }
};

// An arrival that also expects `bytes` of copies.
__device__ inline void barrier_expect(uint32_t barrier, uint32_t bytes) {
  asm volatile("{\n.reg .b64 state;\nmbarrier.arrive.expect_tx.shared::cta.b64 state, [%0], %1;\n}" ::"r"(barrier), "r"(bytes) : "memory");
}
// Bytes of copies to be waited for besides, without an arrival.
__device__ inline void expect_bytes(uint32_t barrier, uint32_t bytes) {
  asm volatile("mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(bytes) : "memory");
}
// This thread's arrival, once its asynchronous copies up to here have come; the thread does not wait.
__device__ inline void arrive_after_copies(uint32_t barrier) {
  asm volatile("cp.async.mbarrier.arrive.noinc.shared::cta.b64 [%0];" ::"r"(barrier) : "memory");
}
// Makes fresh barriers visible to the copy engine; a barrier of the block must follow.
__device__ inline void fence_barriers() { asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory"); }
// A box of a tensor map, from (column, row), into a panel of a tile; one thread. Zeros past the tensor's last row.
__device__ inline void copy_panel(uint32_t to, const CUtensorMap& map, int column, int row, uint32_t barrier) {
  asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], [%4];" ::"r"(to), "l"(&map), "r"(column),
               "r"(row), "r"(barrier)
               : "memory");
}
// 64 channels from `column` of neighbouring heads of a row, by the map of heads_map, into as many rows of a panel; one thread.
__device__ inline void copy_heads(uint32_t to, const CUtensorMap& map, int column, int head, int row, uint32_t barrier) {
  asm volatile("cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3, %4}], [%5];" ::"r"(to), "l"(&map), "r"(column),
               "r"(head), "r"(row), "r"(barrier)
               : "memory");
}
// The D columns of a head, ROWS rows, as a tile.
template <int ROWS, int D>
__device__ inline void copy_tile(uint32_t tile, const CUtensorMap& map, int head, int64_t row, uint32_t barrier) {
#pragma unroll
  for (int panel = 0; panel < D / 64; ++panel) copy_panel(tile + panel * ROWS * 128, map, head * D + panel * 64, int(row), barrier);
}
// Barriers of some of the block's warps: `sync` waits until `threads` have synced or arrived.
__device__ inline void turn_sync(int id, int threads) { asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory"); }
__device__ inline void turn_arrive(int id, int threads) { asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory"); }

// Place in a ring of N buffers: which, and the parity of its round.
template <int N>
struct Ring {
  uint32_t at = 0, round = 0;
  __device__ void next() {
    if (++at == N) at = 0, round ^= 1;
  }
};

#endif

}  // namespace nsa::cuda
