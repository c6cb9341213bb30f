// Loads the native addon of this package and types its functions; nothing else touches it.
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { NsaError } from "@nsa/core";

export interface NativeTrainOptions {
  dim: number;
  wordNgrams: number;
  minCount: number;
  epoch: number;
  bucket: number;
  lr: number;
  seed: number;
  threads: number;
}

export interface NativeTrainResult {
  words: number;
  labels: number;
  tokens: number;
  loss: number;
  /** Seconds of the passes over the text alone. */
  trainSeconds: number;
}

export interface NativeAddon {
  trainFastText(text: string, out: string, options: NativeTrainOptions): NativeTrainResult;
  openCollapsed(path: string): object;
  labelsOf(model: object): string[];
  /** Probabilities [lines × labels] of newline-separated text. */
  scoreLines(model: object, text: Uint8Array): Float32Array;
  /** Signatures [documents × hashes] of newline-ended normalised documents. */
  minhash(text: Uint8Array, options: { shingleWords: number; hashes: number; seed: number }): Uint32Array;
  isa(): string;
}

let loaded: NativeAddon | undefined;

function addonPath(): string | undefined {
  if (process.env.NSA_NATIVE_DIR) {
    const path = join(process.env.NSA_NATIVE_DIR, "nsa_data.node");
    return existsSync(path) ? path : undefined;
  }
  for (let dir = dirname(fileURLToPath(import.meta.url)), i = 0; i < 8; dir = dirname(dir), i++) {
    const path = join(dir, "build", "native", "nsa_data.node");
    if (existsSync(path)) return path;
  }
  return undefined;
}

/** Whether the addon has been built. */
export function hasNative(): boolean {
  return loaded !== undefined || addonPath() !== undefined;
}

/** The addon, loaded on first use. Throws NsaError `data_addon_missing` (exit 4) when it has not been built. */
export function nativeAddon(): NativeAddon {
  if (loaded) return loaded;
  const path = addonPath();
  if (!path) {
    throw new NsaError({
      code: "data_addon_missing",
      what: "the native addon nsa_data.node is not there",
      why: "it has not been built on this machine",
      fix: "run `npm run setup`, or set `engine: typescript`",
      exitCode: 4,
    });
  }
  loaded = createRequire(import.meta.url)(path) as NativeAddon;
  return loaded;
}
