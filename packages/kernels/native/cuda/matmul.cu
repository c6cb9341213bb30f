// gemm: cuBLASLt where it is there, else kernels of our own (tensor cores for bf16, fused multiply-adds for f32).
//
// C[m,n] = alpha·op(A)·op(B) + beta·C (+ bias[n]) (+ residual). Row-major; cuBLASLt sees the transposed problem.
#include <string>

#include "cuda/context.h"
#include "cuda/convert.h"
#include "cuda/cublaslt.h"
#include "cuda/families.h"
#include "cuda/gemm.h"
#include "cuda/mma.h"

namespace nsa::cuda {
namespace {

using Params = Nsa_gemm_params;

template <class T>
__global__ void epilogue_kernel(T* c, int64_t m, int64_t n, int64_t ldc, const void* bias, bool bias_bf16, const T* residual) {
  for (int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; i < m * n; i += int64_t(gridDim.x) * blockDim.x) {
    int64_t at = i / n * ldc + i % n;
    float x = to_float(c[at]);
    if (bias) x += bias_bf16 ? to_float(static_cast<const bf16*>(bias)[i % n]) : static_cast<const float*>(bias)[i % n];
    if (residual) x += to_float(residual[at]);
    from_float(x, c[at]);
  }
}

__global__ void widen_kernel(const bf16* x, float* y, int64_t n) {
  for (int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += int64_t(gridDim.x) * blockDim.x) y[i] = to_float(x[i]);
}

// Sums over more than this many k are joined from parts, so that their rounding grows with the parts and not with k.
constexpr int64_t kPart = 512;

template <int N>
__device__ inline void close_part(float (&total)[N], float (&part)[N]) {
#pragma unroll
  for (int i = 0; i < N; ++i) total[i] += part[i], part[i] = 0;
}

// One 64×64 tile a block. AT: A is stored [k, m]; BT: B is stored [n, k].
template <class C>
__global__ void __launch_bounds__(128) own_bf16_kernel(const bf16* a, const bf16* b, C* c, int64_t m, int64_t n, int64_t k, int64_t lda,
                                                       int64_t ldb, int64_t ldc, bool at, bool bt, float alpha, float beta) {
  __shared__ __align__(1024) bf16 tiles[2 * 64 * 64];
  const uint32_t a_tile = smem_address(tiles), b_tile = a_tile + 64 * 128;
  const int64_t m0 = int64_t(blockIdx.y) * 64, n0 = int64_t(blockIdx.x) * 64;
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  const int wm = (warp & 1) * 32, wn = (warp >> 1) * 32;
  char* base = reinterpret_cast<char*>(tiles);
  float acc[32] = {}, total[32] = {};
  for (int64_t k0 = 0; k0 < k; k0 += 64) {
    if (k0 % kPart == 0) close_part(total, acc);
    __syncthreads();
    for (int i = threadIdx.x; i < 64 * 64; i += 128) {
      // Neighbouring threads walk the contiguous direction of what is stored.
      int row = at ? i % 64 : i / 64, col = at ? i / 64 : i % 64;
      bool in = m0 + row < m && k0 + col < k;
      bf16 x = in ? a[at ? (k0 + col) * lda + m0 + row : (m0 + row) * lda + k0 + col] : __float2bfloat16(0.f);
      *reinterpret_cast<bf16*>(base + tile_offset(64, row, col) + (col & 7) * 2) = x;
      row = bt ? i / 64 : i % 64, col = bt ? i % 64 : i / 64;
      in = n0 + row < n && k0 + col < k;
      x = in ? b[bt ? (n0 + row) * ldb + k0 + col : (k0 + col) * ldb + n0 + row] : __float2bfloat16(0.f);
      *reinterpret_cast<bf16*>(base + 64 * 128 + tile_offset(64, row, col) + (col & 7) * 2) = x;
    }
    __syncthreads();
#pragma unroll
    for (int kk = 0; kk < 64; kk += 16) {
      uint32_t fa[2][4], fb[2][4];
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        load_a(fa[i], a_tile, 64, wm + i * 16, kk);
        load_b(fb[i], b_tile, 64, wn + i * 16, kk);
      }
#pragma unroll
      for (int i = 0; i < 2; ++i)
#pragma unroll
        for (int j = 0; j < 4; ++j)
          mma_bf16(*reinterpret_cast<float(*)[4]>(acc + (i * 4 + j) * 4), fa[i], fb[j / 2][j % 2 * 2], fb[j / 2][j % 2 * 2 + 1]);
    }
  }
  close_part(total, acc);
#pragma unroll
  for (int i = 0; i < 2; ++i)
#pragma unroll
    for (int j = 0; j < 4; ++j)
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        int64_t row = m0 + wm + i * 16 + (lane >> 2) + (e >> 1) * 8, col = n0 + wn + j * 8 + (lane & 3) * 2 + (e & 1);
        if (row >= m || col >= n) continue;
        C& out = c[row * ldc + col];
        from_float(alpha * total[(i * 4 + j) * 4 + e] + (beta != 0.f ? beta * to_float(out) : 0.f), out);
      }
}

template <class C>
__global__ void __launch_bounds__(256) own_f32_kernel(const float* a, const float* b, C* c, int64_t m, int64_t n, int64_t k, int64_t lda,
                                                      int64_t ldb, int64_t ldc, bool at, bool bt, float alpha, float beta) {
  __shared__ float as[16][65], bs[16][65];
  const int64_t m0 = int64_t(blockIdx.y) * 64, n0 = int64_t(blockIdx.x) * 64;
  const int tx = threadIdx.x % 16, ty = threadIdx.x / 16;
  float acc[16] = {}, total[16] = {};
  for (int64_t k0 = 0; k0 < k; k0 += 16) {
    if (k0 % kPart == 0) close_part(total, acc);
    __syncthreads();
    for (int i = threadIdx.x; i < 64 * 16; i += 256) {
      int row = at ? i % 64 : i / 16, col = at ? i / 64 : i % 16;
      bool in = m0 + row < m && k0 + col < k;
      as[col][row] = in ? a[at ? (k0 + col) * lda + m0 + row : (m0 + row) * lda + k0 + col] : 0.f;
      row = bt ? i / 16 : i % 64, col = bt ? i % 16 : i / 64;
      in = n0 + row < n && k0 + col < k;
      bs[col][row] = in ? b[bt ? (n0 + row) * ldb + k0 + col : (k0 + col) * ldb + n0 + row] : 0.f;
    }
    __syncthreads();
#pragma unroll
    for (int kk = 0; kk < 16; ++kk)
#pragma unroll
      for (int i = 0; i < 4; ++i)
#pragma unroll
        for (int j = 0; j < 4; ++j) acc[i * 4 + j] = fmaf(as[kk][ty * 4 + i], bs[kk][tx + j * 16], acc[i * 4 + j]);
  }
  close_part(total, acc);
#pragma unroll
  for (int i = 0; i < 4; ++i)
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      int64_t row = m0 + ty * 4 + i, col = n0 + tx + j * 16;
      if (row >= m || col >= n) continue;
      C& out = c[row * ldc + col];
      from_float(alpha * total[i * 4 + j] + (beta != 0.f ? beta * to_float(out) : 0.f), out);
    }
}

int own_matmul(void* ctx, const Params& p, const void* a, const void* b, bool bf16_inputs, float beta) {
  dim3 grid(unsigned(ceil_div(p.n, 64)), unsigned(ceil_div(p.m, 64)));
  if (grid.y > 65535) return unsupported(ctx, "more than 4,194,240 rows without cuBLASLt");
  with_float_type(p.c.dtype, [&](auto* type) {
    using C = std::remove_pointer_t<decltype(type)>;
    auto* c = static_cast<C*>(p.c.ptr);
    auto stream = context(ctx).stream;
    bool at = p.trans_a != 0, bt = p.trans_b != 0;
    if (bf16_inputs)
      own_bf16_kernel<C><<<grid, 128, 0, stream>>>(static_cast<const bf16*>(a), static_cast<const bf16*>(b), c, p.m, p.n, p.k, p.lda, p.ldb,
                                                   p.ldc, at, bt, float(p.alpha), beta);
    else
      own_f32_kernel<C><<<grid, 256, 0, stream>>>(static_cast<const float*>(a), static_cast<const float*>(b), c, p.m, p.n, p.k, p.lda, p.ldb,
                                                  p.ldc, at, bt, float(p.alpha), beta);
  });
  return launched(ctx);
}

int64_t extent(int64_t rows, int64_t cols, int64_t ld) { return rows == 0 || cols == 0 ? 0 : (rows - 1) * ld + cols; }

}  // namespace

int gemm(void* ctx, const void* params) {
  const Params& p = *static_cast<const Params*>(params);
  Context& c = context(ctx);
  if (p.m == 0 || p.n == 0) return NSA_OK;
  bool a16 = p.a.dtype == NSA_BF16, b16 = p.b.dtype == NSA_BF16, c16 = p.c.dtype == NSA_BF16;
  for (const NsaBuf* x : {&p.a, &p.b, &p.c})
    if (x->dtype != NSA_BF16 && x->dtype != NSA_F32) return unsupported(ctx, "gemm takes f32 and bf16");
  if (b16 && !a16) return unsupported(ctx, "gemm of f32 by bf16");
  if (p.a.numel < extent(p.trans_a ? p.k : p.m, p.trans_a ? p.m : p.k, p.lda) ||
      p.b.numel < extent(p.trans_b ? p.n : p.k, p.trans_b ? p.k : p.n, p.ldb) || p.c.numel < extent(p.m, p.n, p.ldc))
    return bad_argument(ctx, "gemm: a tensor is too short for its sizes");

  if (p.residual.ptr && p.residual.dtype != p.c.dtype) return unsupported(ctx, "gemm: residual and output differ in dtype");
  if (p.residual.ptr && p.residual.numel < extent(p.m, p.n, p.ldc)) return bad_argument(ctx, "gemm: the residual is too short");
  if (p.bias.ptr && p.bias.numel < p.n) return bad_argument(ctx, "gemm: the bias is too short");

  // bf16 by f32: A is widened, so that no weight loses bits.
  const void* a = p.a.ptr;
  bool mixed = a16 && !b16;
  Scratch wide(ctx, mixed ? size_t(p.a.numel) * 4 : 0);
  if (mixed) {
    if (!wide) return out_of_memory(ctx);
    widen_kernel<<<unsigned(min(ceil_div(p.a.numel, 256), int64_t(4096))), 256, 0, c.stream>>>(static_cast<const bf16*>(a), wide.as<float>(),
                                                                                               p.a.numel);
    a = wide.as<float>();
    a16 = false;
  }

  // A residual of the output's type is cuBLASLt's C when nothing else is.
  const void* residual = p.residual.ptr;
  double beta = p.beta;
  if (residual == p.c.ptr) residual = nullptr, beta += 1;
  bool done = false;
  if (c.cublaslt && p.k > 0 && (a16 || !c16)) {
    bool fused = residual && beta == 0;
    LtMatmul lt{};
    lt.a = p.b.ptr, lt.b = a, lt.c = fused ? residual : nullptr, lt.d = p.c.ptr;
    lt.m = p.n, lt.n = p.m, lt.k = p.k, lt.lda = p.ldb, lt.ldb = p.lda, lt.ldd = p.ldc;
    lt.trans_a = p.trans_b != 0, lt.trans_b = p.trans_a != 0, lt.a_bf16 = a16, lt.d_bf16 = c16;
    lt.alpha = float(p.alpha), lt.beta = fused ? 1.f : float(beta);
    std::string why;
    done = cublaslt_matmul(c.cublaslt, lt, c.workspace, c.workspace_bytes, c.stream, why);
    if (done && fused) residual = nullptr;
  }
  if (!done) {
    int status = own_matmul(ctx, p, a, p.b.ptr, a16, float(beta));
    if (status != NSA_OK) return status;
  }
  if (!p.bias.ptr && !residual) return launched(ctx);
  unsigned blocks = unsigned(min(ceil_div(p.m * p.n, 256), int64_t(c.sm_count) * 16));
  with_float_type(p.c.dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    epilogue_kernel<T><<<blocks, 256, 0, c.stream>>>(static_cast<T*>(p.c.ptr), p.m, p.n, p.ldc, p.bias.ptr, p.bias.dtype == NSA_BF16,
                                                     static_cast<const T*>(residual));
  });
  return launched(ctx);
}

void register_matmul(NsaOpFn* ops) { ops[NSA_OP_gemm] = gemm; }

}  // namespace nsa::cuda
