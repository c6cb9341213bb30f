// nsa_gate_fwd, nsa_gate_bwd: the sigmoid-gated sum of the three branches (NSA eq. 5).
#include <type_traits>

#include "cuda/convert.h"
#include "cuda/families.h"
#include "cuda/launch.h"

namespace nsa::cuda {
namespace {

constexpr int kThreadsHere = 256;

// V elements as floats, 16 bytes an access where V is more than 1, the address aligned for it.
template <int V, class T>
__device__ inline void load_some(float (&x)[V], const T* p) {
  if constexpr (V > 1) load_vec(x, p);
  else x[0] = to_float(*p);
}
template <int V, class T>
__device__ inline void store_some(T* p, const float (&x)[V]) {
  if constexpr (V > 1) store_vec(p, x);
  else from_float(x[0], *p);
}

__device__ inline float sigmoid(float x) { return 1.f / (1.f + expf(-x)); }

// LANES lanes a token and head: as many as an access of V elements each needs, at most a warp.
template <int LANES>
__device__ inline int64_t item_here() { return (int64_t(blockIdx.x) * kThreadsHere + threadIdx.x) / LANES; }

template <class T, class G, int V, int LANES>
__global__ void __launch_bounds__(kThreadsHere) fwd_kernel(const G* gate, const T* cmp, const T* slc, const T* win, T* o, int64_t items, int64_t hq, int64_t dv, int64_t ldg) {
  const int64_t item = item_here<LANES>();
  if (item >= items) return;
  const G* g = gate + item / hq * ldg + item % hq * 3;
  const float g0 = sigmoid(to_float(g[0])), g1 = sigmoid(to_float(g[1])), g2 = sigmoid(to_float(g[2]));
  for (int64_t c = int64_t(threadIdx.x % LANES) * V; c < dv; c += LANES * V) {
    float x[V], y[V], z[V];
    load_some(x, cmp + item * dv + c);
    load_some(y, slc + item * dv + c);
    load_some(z, win + item * dv + c);
#pragma unroll
    for (int j = 0; j < V; ++j) x[j] = g0 * x[j] + g1 * y[j] + g2 * z[j];
    store_some(o + item * dv + c, x);
  }
}

template <class T>
struct Branches {
  const T *o[3];
  T *d[3];
};

template <class T, class G, int V, int LANES>
__global__ void __launch_bounds__(kThreadsHere) bwd_kernel(const T* do_, const G* gate, Branches<T> b, G* dgate, float* deltas, int64_t items, int64_t hq, int64_t dv, int64_t ldg) {
  const int64_t item = item_here<LANES>();
  const bool live = item < items;
  const int64_t at = live ? item / hq * ldg + item % hq * 3 : 0;
  float g[3], sum[3] = {}, delta[3] = {};
#pragma unroll
  for (int i = 0; i < 3; ++i) g[i] = live ? sigmoid(to_float(gate[at + i])) : 0.f;
  for (int64_t c = int64_t(threadIdx.x % LANES) * V; live && c < dv; c += LANES * V) {
    // All loads before the first store, which the compiler may not pass.
    float d[V], x[3][V];
    load_some(d, do_ + item * dv + c);
#pragma unroll
    for (int i = 0; i < 3; ++i) load_some(x[i], b.o[i] + item * dv + c);
#pragma unroll
    for (int i = 0; i < 3; ++i) {
#pragma unroll
      for (int j = 0; j < V; ++j) {
        T stored;
        from_float(g[i] * d[j], stored);
        sum[i] += d[j] * x[i][j], delta[i] += to_float(stored) * x[i][j];
        x[i][j] = g[i] * d[j];
      }
      store_some(b.d[i] + item * dv + c, x[i]);
    }
  }
#pragma unroll
  for (int i = 0; i < 3; ++i) {
    float total = sum[i], of_branch = delta[i];
#pragma unroll
    for (int m = LANES / 2; m > 0; m >>= 1) total += __shfl_xor_sync(~0u, total, m), of_branch += __shfl_xor_sync(~0u, of_branch, m);
    if (!live || threadIdx.x % LANES != 0) continue;
    from_float(total * g[i] * (1.f - g[i]), dgate[at + i]);
    if (deltas) deltas[i * items + item] = of_branch;
  }
}

// Calls launch with V, the elements of an access, and LANES.
template <class T, class Launch>
void with_shape(int64_t dv, bool wide, Launch&& launch) {
  constexpr std::integral_constant<int, kVec<T>> v{};
  const int64_t accesses = ceil_div(dv, v());
  if (!wide) launch(std::integral_constant<int, 1>{}, std::integral_constant<int, 32>{});
  else if (accesses <= 8) launch(v, std::integral_constant<int, 8>{});
  else if (accesses <= 16) launch(v, std::integral_constant<int, 16>{});
  else launch(v, std::integral_constant<int, 32>{});
}

// Calls body with null pointers of the types of the branches and of the gate.
template <class Body>
bool with_types(int32_t branch, int32_t gate, Body&& body) {
  bool ok = false;
  with_float_type(branch, [&](auto* t) { ok = with_float_type(gate, [&](auto* g) { body(t, g); }); });
  return ok;
}

bool wide(int64_t dv, int per, std::initializer_list<const void*> buffers) {
  for (const void* p : buffers)
    if (!aligned16(p)) return false;
  return dv % per == 0;
}

template <class P>
bool too_short(const P& p, std::initializer_list<const NsaBuf*> buffers) {
  for (const NsaBuf* b : buffers)
    if (b->numel < p.tokens * p.hq * p.dim_v) return true;
  return p.gate.numel < (p.tokens - 1) * p.ldg + p.hq * 3;
}

int fwd(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_nsa_gate_fwd_params*>(params);
  int64_t items = p.tokens * p.hq;
  if (items == 0) return NSA_OK;
  if (too_short(p, {&p.o_cmp, &p.o_slc, &p.o_win, &p.o})) return bad_argument(ctx, "nsa_gate_fwd: a tensor is too short");
  if (p.o_cmp.dtype != p.o.dtype || p.o_slc.dtype != p.o.dtype || p.o_win.dtype != p.o.dtype) return unsupported(ctx, "nsa_gate_fwd of mixed dtypes");
  bool ok = with_types(p.o.dtype, p.gate.dtype, [&](auto* tt, auto* gt) {
    using T = std::remove_pointer_t<decltype(tt)>;
    using G = std::remove_pointer_t<decltype(gt)>;
    with_shape<T>(p.dim_v, wide(p.dim_v, kVec<T>, {p.o_cmp.ptr, p.o_slc.ptr, p.o_win.ptr, p.o.ptr}), [&](auto v, auto lanes) {
      fwd_kernel<T, G, v(), lanes()><<<unsigned(ceil_div(items * lanes(), kThreadsHere)), kThreadsHere, 0, context(ctx).stream>>>(
          static_cast<const G*>(p.gate.ptr), static_cast<const T*>(p.o_cmp.ptr), static_cast<const T*>(p.o_slc.ptr), static_cast<const T*>(p.o_win.ptr),
          static_cast<T*>(p.o.ptr), items, p.hq, p.dim_v, p.ldg);
    });
  });
  return ok ? launched(ctx) : unsupported(ctx, "nsa_gate_fwd takes f32 and bf16");
}

int bwd(void* ctx, const void* params) {
  const auto& p = *static_cast<const Nsa_nsa_gate_bwd_params*>(params);
  int64_t items = p.tokens * p.hq;
  if (items == 0) return NSA_OK;
  if (too_short(p, {&p.do_, &p.o_cmp, &p.o_slc, &p.o_win, &p.do_cmp, &p.do_slc, &p.do_win}) || p.dgate.numel < (p.tokens - 1) * p.ldg + p.hq * 3 ||
      (p.deltas.ptr && p.deltas.numel < 3 * items))
    return bad_argument(ctx, "nsa_gate_bwd: a tensor is too short");
  for (const NsaBuf* b : {&p.o_cmp, &p.o_slc, &p.o_win, &p.do_cmp, &p.do_slc, &p.do_win})
    if (b->dtype != p.do_.dtype) return unsupported(ctx, "nsa_gate_bwd of mixed dtypes");
  if (p.gate.dtype != p.dgate.dtype || (p.deltas.ptr && p.deltas.dtype != NSA_F32)) return unsupported(ctx, "nsa_gate_bwd of mixed dtypes");
  bool ok = with_types(p.do_.dtype, p.gate.dtype, [&](auto* tt, auto* gt) {
    using T = std::remove_pointer_t<decltype(tt)>;
    using G = std::remove_pointer_t<decltype(gt)>;
    auto in = [](const NsaBuf& b) { return static_cast<const T*>(b.ptr); };
    auto out = [](const NsaBuf& b) { return static_cast<T*>(b.ptr); };
    Branches<T> b{{in(p.o_cmp), in(p.o_slc), in(p.o_win)}, {out(p.do_cmp), out(p.do_slc), out(p.do_win)}};
    const bool vectors = wide(p.dim_v, kVec<T>, {p.do_.ptr, p.o_cmp.ptr, p.o_slc.ptr, p.o_win.ptr, p.do_cmp.ptr, p.do_slc.ptr, p.do_win.ptr});
    with_shape<T>(p.dim_v, vectors, [&](auto v, auto lanes) {
      bwd_kernel<T, G, v(), lanes()><<<unsigned(ceil_div(items * lanes(), kThreadsHere)), kThreadsHere, 0, context(ctx).stream>>>(
          in(p.do_), static_cast<const G*>(p.gate.ptr), b, static_cast<G*>(p.dgate.ptr), static_cast<float*>(p.deltas.ptr), items, p.hq, p.dim_v, p.ldg);
    });
  });
  return ok ? launched(ctx) : unsupported(ctx, "nsa_gate_bwd takes f32 and bf16");
}

}  // namespace

void register_nsa_gate(NsaOpFn* ops) {
  ops[NSA_OP_nsa_gate_fwd] = fwd;
  ops[NSA_OP_nsa_gate_bwd] = bwd;
}

}  // namespace nsa::cuda
