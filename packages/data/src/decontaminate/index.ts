// Decontamination against benchmark files.
export { readBenchmark } from "./benchmarks.ts";
export { type BenchmarkText, type GramHit, GramIndex, type GramRules } from "./index-grams.ts";
