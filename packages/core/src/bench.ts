// What a benchmark returns, and the machine line that every published figure carries.
import { cpus, totalmem } from "node:os";
import { cpuIsa } from "./environment.ts";

/** A claim with its bar: `pass` says whether the measured value meets it. */
export interface BenchBar {
  what: string;
  value: number | null;
  bar: number;
  pass: boolean;
}

export interface BenchResult {
  name: string;
  /** Where it ran, see {@link describeMachine}. */
  machine: string;
  /** Absolute figures, with the unit in the key (`gemm_gflops`). */
  figures: Record<string, number | string | null>;
  /** Figures divided by a baseline of the same run. */
  ratios: Record<string, number | null>;
  /** Curves, by name. */
  series?: Record<string, number[]>;
  bars: BenchBar[];
}

/** The default export of every `packages/<p>/bench/<name>.ts`. */
export interface Bench {
  name: string;
  /** One line for `pnpm bench` alone. */
  about: string;
  run(): Promise<BenchResult>;
}

/** A bar that a value must reach from below; an absent baseline (`null`) fails it. */
export function atLeast(what: string, value: number | null, bar: number): BenchBar {
  return { what, value, bar, pass: value !== null && value >= bar };
}

/** A bar that a value must not exceed; an absent value fails it. */
export function atMost(what: string, value: number | null, bar: number): BenchBar {
  return { what, value, bar, pass: value !== null && value <= bar };
}

/** CPU model, logical cores, the widest vector ISA, memory and Node version in one line. */
export function describeMachine(): string {
  const all = cpus();
  const memory = (totalmem() / 2 ** 30).toFixed(0);
  return `${all[0]?.model.trim() ?? process.arch}, ${all.length} cores, ${cpuIsa()}, ${memory} GiB, Node ${process.versions.node}`;
}
