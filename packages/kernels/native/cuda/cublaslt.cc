// Loading cuBLASLt and running one of its plans; see cublaslt.h.
#include "cuda/cublaslt.h"

#include <dlfcn.h>

#include <array>
#include <cstdlib>
#include <map>
#include <sstream>
#include <vector>

#include "cuda/library.h"

namespace nsa::cuda {
namespace {

// Values of cublasLt.h and library_types.h (CUDA 12 and 13), the ones used here.
constexpr int kBf16 = 14, kF32 = 0, kCompute32F = 68, kOpN = 0, kOpT = 1;
constexpr int kDescTransA = 3, kDescTransB = 4;
constexpr int kPrefWorkspace = 1, kPrefReduction = 3, kPrefAlignA = 5, kPrefAlignB = 6, kPrefAlignC = 7, kPrefAlignD = 8;

using Handle = void*;
struct Algo {
  uint64_t data[8];
};
struct Heuristic {
  Algo algo;
  size_t workspace;
  int status;
  float waves;
  int reserved[4];
};

struct Plan {
  Handle desc = nullptr, a = nullptr, b = nullptr, d = nullptr;
  Algo algo{};
  bool usable = false;
};
// m, n, k, lda, ldb, ldd, flags, alignments of a, b, c, d, whether C is read.
using Key = std::array<int64_t, 12>;

constexpr int kCandidates = 16, kTimedRuns = 5;

void* load() {
  static const LibraryNames names = {"NSA_CUBLASLT",
                                     {"libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so", nullptr},
                                     "libcublasLt.so.1*",
                                     {"cu13", "cublas", nullptr}};
  return open_library(names);
}

int64_t alignment(const void* p) {
  auto x = reinterpret_cast<uintptr_t>(p);
  int64_t a = int64_t(x & (~x + 1));
  return x == 0 || a > 256 ? 256 : a;
}

}  // namespace

struct CublasLt {
  Handle handle = nullptr;
  size_t version = 0;
  std::map<Key, Plan> plans;
  std::map<Key, Algo> given;  // read from a file
  bool tuning = false;
  NsaScratch scratch{};

  int (*create)(Handle*);
  int (*destroy)(Handle);
  size_t (*get_version)();
  int (*desc_create)(Handle*, int, int);
  int (*desc_destroy)(Handle);
  int (*desc_set)(Handle, int, const void*, size_t);
  int (*layout_create)(Handle*, int, uint64_t, uint64_t, int64_t);
  int (*layout_destroy)(Handle);
  int (*pref_create)(Handle*);
  int (*pref_destroy)(Handle);
  int (*pref_set)(Handle, int, const void*, size_t);
  int (*algo_check)(Handle, Handle, Handle, Handle, Handle, Handle, const Algo*, Heuristic*);
  int (*heuristic)(Handle, Handle, Handle, Handle, Handle, Handle, Handle, int, Heuristic*, int*);
  int (*matmul)(Handle, Handle, const void*, const void*, Handle, const void*, Handle, const void*, const void*, Handle, void*, Handle,
                const Algo*, void*, size_t, cudaStream_t);

  bool resolve(void* lib) {
    auto get = [lib](auto& f, const char* name) { return (f = reinterpret_cast<std::decay_t<decltype(f)>>(dlsym(lib, name))) != nullptr; };
    return get(create, "cublasLtCreate") && get(destroy, "cublasLtDestroy") && get(get_version, "cublasLtGetVersion") &&
           get(desc_create, "cublasLtMatmulDescCreate") && get(desc_destroy, "cublasLtMatmulDescDestroy") &&
           get(desc_set, "cublasLtMatmulDescSetAttribute") && get(layout_create, "cublasLtMatrixLayoutCreate") &&
           get(layout_destroy, "cublasLtMatrixLayoutDestroy") && get(pref_create, "cublasLtMatmulPreferenceCreate") &&
           get(pref_destroy, "cublasLtMatmulPreferenceDestroy") && get(pref_set, "cublasLtMatmulPreferenceSetAttribute") &&
           get(algo_check, "cublasLtMatmulAlgoCheck") && get(heuristic, "cublasLtMatmulAlgoGetHeuristic") && get(matmul, "cublasLtMatmul");
  }

  // Milliseconds of one run, into memory that nobody reads; negative when it fails.
  float time(const LtMatmul& p, const Plan& plan, const Algo& algo, void* d, void* workspace, size_t workspace_bytes, cudaStream_t stream) {
    cudaEvent_t from = nullptr, to = nullptr;
    cudaEventCreate(&from);
    cudaEventCreate(&to);
    bool ok = true;
    for (int i = -1; ok && i < kTimedRuns; ++i) {
      if (i == 0) cudaEventRecord(from, stream);
      ok = matmul(handle, plan.desc, &p.alpha, p.a, plan.a, p.b, plan.b, &p.beta, d, plan.d, d, plan.d, &algo, workspace, workspace_bytes, stream) == 0;
    }
    cudaEventRecord(to, stream);
    ok = cudaEventSynchronize(to) == cudaSuccess && ok;
    float ms = -1;
    if (ok) cudaEventElapsedTime(&ms, from, to);
    cudaEventDestroy(from);
    cudaEventDestroy(to);
    return ms;
  }

  // The fastest of the candidates by a clear margin over the first, which is the default.
  Algo fastest(const LtMatmul& p, const Plan& plan, const Heuristic* found, int n, void* workspace, size_t workspace_bytes, cudaStream_t stream) {
    size_t bytes = (size_t(p.n - 1) * size_t(p.ldd) + size_t(p.m)) * (p.d_bf16 ? 2 : 4);
    void* d = scratch.alloc(scratch.owner, bytes);
    if (!d) return found[0].algo;
    cudaMemsetAsync(d, 0, bytes, stream);
    int best = 0;
    float least = time(p, plan, found[0].algo, d, workspace, workspace_bytes, stream) * 0.98f;
    for (int i = 1; i < n; ++i) {
      if (found[i].status != 0 || found[i].workspace > workspace_bytes) continue;
      float ms = time(p, plan, found[i].algo, d, workspace, workspace_bytes, stream);
      if (ms > 0 && ms < least) least = ms, best = i;
    }
    scratch.free(scratch.owner, d);
    return found[best].algo;
  }

  Plan make(const LtMatmul& p, const Key& key, void* workspace, size_t workspace_bytes, cudaStream_t stream) {
    Plan plan;
    int ab = p.a_bf16 ? kBf16 : kF32, d = p.d_bf16 ? kBf16 : kF32;
    int ta = p.trans_a ? kOpT : kOpN, tb = p.trans_b ? kOpT : kOpN;
    bool ok = desc_create(&plan.desc, kCompute32F, kF32) == 0 && desc_set(plan.desc, kDescTransA, &ta, sizeof ta) == 0 &&
              desc_set(plan.desc, kDescTransB, &tb, sizeof tb) == 0 &&
              layout_create(&plan.a, ab, uint64_t(p.trans_a ? p.k : p.m), uint64_t(p.trans_a ? p.m : p.k), p.lda) == 0 &&
              layout_create(&plan.b, ab, uint64_t(p.trans_b ? p.n : p.k), uint64_t(p.trans_b ? p.k : p.n), p.ldb) == 0 &&
              layout_create(&plan.d, d, uint64_t(p.m), uint64_t(p.n), p.ldd) == 0;
    Handle pref = nullptr;
    ok = ok && pref_create(&pref) == 0 && pref_set(pref, kPrefWorkspace, &workspace_bytes, sizeof workspace_bytes) == 0;
    // Split sums meet in f32, never in the output's type.
    uint32_t in_compute_type = 2;
    ok = ok && pref_set(pref, kPrefReduction, &in_compute_type, sizeof in_compute_type) == 0;
    const int names[] = {kPrefAlignA, kPrefAlignB, kPrefAlignC, kPrefAlignD};
    for (int i = 0; ok && i < 4; ++i) {
      auto bytes = uint32_t(key[size_t(7 + i)]);
      ok = pref_set(pref, names[i], &bytes, sizeof bytes) == 0;
    }
    Heuristic found[kCandidates] = {};
    auto state = cudaStreamCaptureStatusNone;
    cudaStreamIsCapturing(stream, &state);
    bool time_them = tuning && state == cudaStreamCaptureStatusNone;
    int n = 0;
    ok = ok && heuristic(handle, plan.desc, plan.a, plan.b, plan.d, plan.d, pref, time_them ? kCandidates : 1, found, &n) == 0 && n > 0;
    if (pref) pref_destroy(pref);
    plan.algo = found[0].algo;
    plan.usable = ok;
    auto it = given.find(key);
    Heuristic checked{};
    if (it != given.end() && ok && algo_check(handle, plan.desc, plan.a, plan.b, plan.d, plan.d, &it->second, &checked) == 0 && checked.workspace <= workspace_bytes)
      plan.algo = it->second;
    else if (time_them && ok)
      plan.algo = fastest(p, plan, found, n, workspace, workspace_bytes, stream);
    return plan;
  }
};

CublasLt* cublaslt_open() {
  void* lib = load();
  if (!lib) return nullptr;
  auto* lt = new CublasLt;
  if (lt->resolve(lib) && lt->create(&lt->handle) == 0) {
    lt->version = lt->get_version();
    return lt;
  }
  delete lt;
  return nullptr;
}

void cublaslt_close(CublasLt* lt) {
  if (!lt) return;
  for (auto& [key, plan] : lt->plans) {
    if (plan.desc) lt->desc_destroy(plan.desc);
    for (Handle h : {plan.a, plan.b, plan.d})
      if (h) lt->layout_destroy(h);
  }
  lt->destroy(lt->handle);
  delete lt;
}

std::string cublaslt_describe(const CublasLt* lt) {
  if (!lt) {
    const char* given = std::getenv("NSA_CUBLASLT");
    return given && std::string(given) == "none" ? "own kernels (NSA_CUBLASLT=none)"
                                                 : "own kernels (cuBLASLt was not found; set NSA_CUBLASLT to its path)";
  }
  return "cuBLASLt " + std::to_string(lt->version);
}

void cublaslt_tune(CublasLt* lt, const NsaScratch& scratch) {
  lt->tuning = true;
  lt->scratch = scratch;
}

std::string cublaslt_plans(const CublasLt* lt) {
  // What was read stays, also where this run has not met the shape.
  std::map<Key, Algo> all = lt->given;
  for (const auto& [key, plan] : lt->plans)
    if (plan.usable) all[key] = plan.algo;
  std::ostringstream out;
  for (const auto& [key, algo] : all) {
    for (int64_t x : key) out << x << ' ';
    for (uint64_t x : algo.data) out << std::hex << x << std::dec << ' ';
    out << '\n';
  }
  return out.str();
}

bool cublaslt_read_plans(CublasLt* lt, const std::string& lines) {
  std::istringstream in(lines);
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    Key key{};
    Algo algo{};
    for (int64_t& x : key) words >> x;
    words >> std::hex;
    for (uint64_t& x : algo.data) words >> x;
    if (!words) return false;
    lt->given[key] = algo;
  }
  return true;
}

bool cublaslt_matmul(CublasLt* lt, const LtMatmul& p, void* workspace, size_t workspace_bytes, cudaStream_t stream, std::string& why) {
  std::array<int64_t, 4> align = {alignment(p.a), alignment(p.b), alignment(p.c ? p.c : p.d), alignment(p.d)};
  int64_t flags = p.trans_a | p.trans_b << 1 | p.a_bf16 << 2 | p.d_bf16 << 3;
  Key key = {p.m, p.n, p.k, p.lda, p.ldb, p.ldd, flags, align[0], align[1], align[2], align[3], p.beta != 0};
  auto it = lt->plans.find(key);
  if (it == lt->plans.end()) it = lt->plans.emplace(key, lt->make(p, key, workspace, workspace_bytes, stream)).first;
  const Plan& plan = it->second;
  if (!plan.usable) {
    why = "cuBLASLt has no algorithm for this shape";
    return false;
  }
  int status = lt->matmul(lt->handle, plan.desc, &p.alpha, p.a, plan.a, p.b, plan.b, &p.beta, p.c ? p.c : p.d, plan.d, p.d, plan.d,
                          &plan.algo, workspace, workspace_bytes, stream);
  if (status != 0) why = "cublasLtMatmul failed with status " + std::to_string(status);
  return status == 0;
}

}  // namespace nsa::cuda
