// Test and timing of the CPU matrix product: `gemm_bench test` checks it against double sums on every ISA of this machine,
// `gemm_bench bench <libopenblas>` times it against OpenBLAS in interleaved repetitions and prints one JSON object.
#include <dlfcn.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "cpu/context.h"
#include "cpu/isa.h"
#include "cpu/matmul.h"
#include "cpu/vec.h"
#include "reference/common.h"

namespace nsa::cpu::emulated_amx {
extern const Bf16Kernels kBf16;
}

namespace {
using namespace nsa;
using namespace nsa::cpu;

NsaScratch heap() {
  return {nullptr, [](void*, size_t n) -> void* { return std::aligned_alloc(256, (n + 255) / 256 * 256); },
          [](void*, void* p) { std::free(p); }};
}

// A matrix in f32 or bf16 with values exact in both.
struct Matrix {
  std::vector<float> f;
  std::vector<uint16_t> h;
  Matrix(int64_t n, bool bf16, uint32_t seed) : f(size_t(n)) {
    std::mt19937 rng(seed);
    std::normal_distribution<float> normal;
    for (auto& v : f) v = ref::bf16_to_float(ref::float_to_bf16(normal(rng)));
    if (!bf16) return;
    h.resize(f.size());
    for (size_t i = 0; i < f.size(); ++i) h[i] = ref::float_to_bf16(f[i]);
  }
  NsaBuf buf() { return h.empty() ? NsaBuf{f.data(), int64_t(f.size()), NSA_F32, 0} : NsaBuf{h.data(), int64_t(h.size()), NSA_BF16, 0}; }
  double get(int64_t i) const { return h.empty() ? f[size_t(i)] : ref::bf16_to_float(h[size_t(i)]); }
};

struct Case {
  int64_t m, n, k, pad;  // pad: extra elements in every leading dimension
  bool ta, tb, a16, b16, c16, epilogue;
  float alpha, beta;
};

struct Problem {
  Case s;
  Matrix a, b, c, bias, residual;
  int64_t lda, ldb, ldc;
  explicit Problem(const Case& s)
      : s(s),
        a((s.m + s.pad) * (s.k + s.pad), s.a16, 1),
        b((s.n + s.pad) * (s.k + s.pad), s.b16, 2),
        c((s.m + s.pad) * (s.n + s.pad), s.c16, 3),
        bias(s.n, s.b16, 4),
        residual((s.m + s.pad) * (s.n + s.pad), s.c16, 5),
        lda((s.ta ? s.m : s.k) + s.pad),
        ldb((s.tb ? s.k : s.n) + s.pad),
        ldc(s.n + s.pad) {}
  // The first `rows` rows.
  int run(Context& ctx, int64_t rows, const GemmKernels& kernels) {
    MatmulSide left{a.buf(), 0, s.ta ? 1 : lda, s.ta ? lda : 1}, right{b.buf(), 0, s.tb ? ldb : 1, s.tb ? 1 : ldb};
    MatmulOut out{c.buf(), 0, ldc, s.alpha, s.beta, s.epilogue ? bias.buf() : NsaBuf{}, s.epilogue ? residual.buf() : NsaBuf{}};
    return matmul(&ctx, rows, s.n, s.k, left, right, out, kernels);
  }
};

int failures = 0, checks = 0;
void check(bool ok, const Case& s, const char* isa, const char* what) {
  ++checks;
  if (ok) return;
  ++failures;
  std::printf("FAILED %s on %s: m=%ld n=%ld k=%ld pad=%ld ta=%d tb=%d a16=%d b16=%d c16=%d epilogue=%d alpha=%g beta=%g\n", what, isa,
              long(s.m), long(s.n), long(s.k), long(s.pad), s.ta, s.tb, s.a16, s.b16, s.c16, s.epilogue, s.alpha, s.beta);
}

void test_case(const Case& s, const char* isa, const GemmKernels& kernels) {
  Context one(1, heap()), three(3, heap());
  Problem p(s), q(s), r(s);
  Matrix before = p.c;
  p.run(one, s.m, kernels);
  q.run(three, s.m, kernels);
  r.run(one, 1, kernels);
  size_t bytes = s.c16 ? 2 : 4;
  check(!std::memcmp(p.c.buf().ptr, q.c.buf().ptr, size_t(p.c.buf().numel) * bytes), s, isa, "one thread equals three");
  check(!std::memcmp(p.c.buf().ptr, r.c.buf().ptr, size_t(s.n) * bytes), s, isa, "a row alone equals the row among others");
  bool close = true, kept = true;
  for (int64_t i = 0; i < s.m; ++i) {
    for (int64_t j = 0; j < s.n; ++j) {
      double sum = 0, mass = 0;
      for (int64_t l = 0; l < s.k; ++l) {
        double t = p.a.get(s.ta ? l * p.lda + i : i * p.lda + l) * p.b.get(s.tb ? j * p.ldb + l : l * p.ldb + j);
        sum += t;
        mass += std::fabs(t);
      }
      int64_t at = i * p.ldc + j;
      double want = s.alpha * sum, scale = std::fabs(s.alpha) * mass;
      double extra = s.beta * before.get(at);
      if (s.epilogue) extra += p.bias.get(j) + p.residual.get(at);
      want += extra;
      double bound = std::ldexp(scale, -24) * (2 + std::sqrt(double(s.k)) * 2) + std::ldexp(std::fabs(extra) + 4, -22);
      if (s.c16) bound += std::ldexp(std::fabs(want), -8);
      close = close && std::fabs(p.c.get(at) - want) <= bound;
    }
    for (int64_t j = s.n; j < p.ldc; ++j) kept = kept && p.c.get(i * p.ldc + j) == before.get(i * p.ldc + j);
  }
  check(close, s, isa, "equals double sums");
  check(kept, s, isa, "writes nothing between rows");
}

// The sets of this machine, and that of AMX over emulated tiles, whose packing needs AVX512.
std::vector<NamedKernels> tested_sets() {
  auto sets = gemm_kernel_sets();
#if defined(__x86_64__)
  if (isa() >= Isa::avx512_bf16) sets.push_back({"amx-bf16, emulated", {&avx512::kVec, &emulated_amx::kBf16}});
#endif
  return sets;
}

int test() {
  for (const NamedKernels& set : tested_sets()) {
    for (int64_t m : {1, 5, 12, 61, 250})
      for (int64_t n : {1, 16, 33, 130, 300})
        for (int64_t k : {1, 7, 64, 257, 515})
          for (int variant = 0; variant < 4; ++variant) {
            // Few combinations per size; every dtype, transpose, epilogue and padding meets many sizes.
            int64_t mix = m + 3 * n + 7 * k + variant;
            bool a16 = mix % 3 != 0, b16 = mix % 3 == 1 || mix % 5 == 0;
            test_case({m, n, k, mix % 4, (variant & 1) != 0, (variant & 2) != 0, a16, b16, mix % 7 < 2, mix % 2 == 0,
                       mix % 4 == 1 ? 0.5f : 1.f, mix % 5 < 2 ? 1.f : mix % 5 == 2 ? 0.25f : 0.f}, set.name, set.kernels);
          }
  }
  std::printf("%d checks, %d failed\n", checks, failures);
  return failures != 0;
}

double seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }
double cpu_seconds(clockid_t clock) {
  timespec t;
  clock_gettime(clock, &t);
  return double(t.tv_sec) + 1e-9 * double(t.tv_nsec);
}

using Sgemm = void (*)(int, int, int, int, int, int, float, const float*, int, const float*, int, float, float*, int);

struct Shape {
  const char* name;
  int64_t m, n, k;
  bool ta, tb;
  float beta;
  int weight;  // times a training step of cpu_gpt_torch.py runs it; 0: reported, not part of the total
};
// Tokens 2048, d 256, ffn 704, vocabulary 4096, four layers; y = x·Wᵀ, dx = dy·W, dW += dyᵀ·x.
const Shape kShapes[] = {
    {"qkv_fwd", 2048, 768, 256, false, true, 0, 4},      {"qkv_dx", 2048, 256, 768, false, false, 0, 4},
    {"qkv_dw", 768, 256, 2048, true, false, 1, 4},       {"o_fwd", 2048, 256, 256, false, true, 0, 4},
    {"o_dx", 2048, 256, 256, false, false, 0, 4},        {"o_dw", 256, 256, 2048, true, false, 1, 4},
    {"gate_up_fwd", 2048, 1408, 256, false, true, 0, 4}, {"gate_up_dx", 2048, 256, 1408, false, false, 0, 4},
    {"gate_up_dw", 1408, 256, 2048, true, false, 1, 4},  {"down_fwd", 2048, 256, 704, false, true, 0, 4},
    {"down_dx", 2048, 704, 256, false, false, 0, 4},     {"down_dw", 256, 704, 2048, true, false, 1, 4},
    {"head_fwd", 2048, 4096, 256, false, true, 0, 1},    {"head_dx", 2048, 256, 4096, false, false, 0, 1},
    {"head_dw", 4096, 256, 2048, true, false, 1, 1},     {"d1024_fwd", 1024, 1024, 1024, false, true, 0, 0},
    {"d64_fwd", 2048, 192, 64, false, true, 0, 0},       {"decode_m1", 1, 1024, 1024, false, true, 0, 0},
    {"decode_m16", 16, 1024, 1024, false, true, 0, 0},   {"decode_m128", 128, 1024, 1024, false, true, 0, 0},
};

int bench(const char* library) {
  void* blas = dlopen(library, RTLD_NOW | RTLD_LOCAL);
  auto sgemm = blas ? reinterpret_cast<Sgemm>(dlsym(blas, "cblas_sgemm")) : nullptr;
  std::string core = "absent";
  if (blas) {
    if (auto name = reinterpret_cast<char* (*)()>(dlsym(blas, "openblas_get_corename"))) core = name();
    if (auto threads = reinterpret_cast<void (*)(int)>(dlsym(blas, "openblas_set_num_threads"))) threads(1);
  }
  Context one(1, heap()), two(2, heap());
  const GemmKernels& kernels = gemm_kernels();
  double flops = 0, ours = 0, theirs = 0, half = 0, wall1 = 0, wall2 = 0, cpu2 = 0;
  std::printf("{\"openblas_kernel\":\"%s\",\"isa\":\"%s\",\"shapes\":{", core.c_str(), gemm_kernel_sets().back().name);
  for (const Shape& s : kShapes) {
    Case c{s.m, s.n, s.k, 0, s.ta, s.tb, false, false, false, false, 1, s.beta};
    Problem f(c);
    Case c16 = c;
    c16.a16 = c16.b16 = true;
    c16.c16 = s.beta == 0;
    Problem h(c16);
    double work = 2e-9 * double(s.m) * double(s.n) * double(s.k);
    int inner = std::max(1, int(0.2 / work)), reps = 9;
    double best[6] = {1e9, 1e9, 1e9, 1e9, 1e9, 1e9};
    enum Clock { kThread, kProcess, kWall };
    auto now = [](Clock c) { return c == kWall ? seconds() : cpu_seconds(c == kThread ? CLOCK_THREAD_CPUTIME_ID : CLOCK_PROCESS_CPUTIME_ID); };
    auto timed = [&](int slot, Clock clock, auto fn) {
      double t = now(clock);
      for (int i = 0; i < inner; ++i) fn();
      best[slot] = std::min(best[slot], (now(clock) - t) / inner);
    };
    for (int r = 0; r < reps; ++r) {
      timed(0, kThread, [&] { f.run(one, s.m, kernels); });
      if (sgemm)
        timed(1, kThread, [&] {
          sgemm(101, s.ta ? 112 : 111, s.tb ? 112 : 111, int(s.m), int(s.n), int(s.k), 1, f.a.f.data(), int(f.lda), f.b.f.data(),
                int(f.ldb), s.beta, f.c.f.data(), int(f.ldc));
        });
      timed(2, kThread, [&] { h.run(one, s.m, kernels); });
      if (s.weight) {
        timed(3, kWall, [&] { f.run(one, s.m, kernels); });
        timed(4, kWall, [&] { f.run(two, s.m, kernels); });
        timed(5, kProcess, [&] { f.run(two, s.m, kernels); });
      }
    }
    flops += s.weight * work;
    ours += s.weight * best[0];
    theirs += s.weight * best[1];
    half += s.weight * best[2];
    if (s.weight) {
      wall1 += s.weight * best[3];
      wall2 += s.weight * best[4];
      cpu2 += s.weight * best[5];
    }
    std::printf("%s\"%s\":{\"f32\":%.1f,\"openblas\":%.1f,\"bf16\":%.1f}", &s == kShapes ? "" : ",", s.name, work / best[0],
                sgemm ? work / best[1] : 0, work / best[2]);
    std::fflush(stdout);
  }
  std::printf("},\"f32_gflops\":%.2f,\"openblas_gflops\":%.2f,\"bf16_gflops\":%.2f,\"scaling\":%.3f,\"scaling_cpu\":%.3f}\n", flops / ours,
              sgemm ? flops / theirs : 0, flops / half, wall1 / wall2, 2 * ours / cpu2);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  std::string mode = argc > 1 ? argv[1] : "";
  if (mode == "test") return test();
  if (mode == "bench") return bench(argc > 2 ? argv[2] : "libopenblas.so.0");
  std::fprintf(stderr, "usage: gemm_bench test | bench [libopenblas]\n");
  return 2;
}
