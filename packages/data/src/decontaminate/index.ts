// Decontamination against benchmark files.
export { benchmarkLabels, comparableText, readBenchmark } from "./benchmarks.ts";
export { isDistinctive } from "./distinctive.ts";
export { type BenchmarkText, type GramHit, GramIndex, type GramRules } from "./index-grams.ts";
