// Loads the native addon and types its raw functions; nothing else in the package touches it.
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { NsaError } from "@nsa/core";

export interface RawStats {
  liveBytes: number;
  peakBytes: number;
  reservedBytes: number;
  handles: number;
}

export type DataArray =
  | Float32Array
  | Float64Array
  | Int32Array
  | Uint16Array
  | Uint8Array
  | BigInt64Array
  | Uint32Array;

export interface Addon {
  args: Float64Array;
  ops: { name: string; fields: string }[];
  open(
    name: string,
    plugin: string,
    threads: number,
    ordinal: number,
    limitBytes: number,
    recordOps: 0 | 1,
  ): number;
  close(device: number): void;
  run(device: number, op: number): void;
  alloc(device: number, numel: number, dtype: number): number;
  view(device: number, handle: number, offset: number, numel: number): number;
  free(device: number, handle: number): void;
  isLive(device: number, handle: number): boolean;
  transfer(device: number, handle: number, data: DataArray, offset: number, toDevice: 0 | 1): void;
  /** Begins a download of the whole tensor; `fetched` waits for it. */
  fetch(device: number, slot: number, handle: number): void;
  fetched(device: number, slot: number, data: DataArray): void;
  sync(device: number): void;
  stats(device: number, resetPeak: 0 | 1): RawStats;
  info(device: number): string;
  supports(device: number, op: number): boolean;
  capture(device: number, verb: number, graph?: number): number;
  arena(device: number, verb: number, arena?: number): number;
  /** Handle, bytes and index of the first op of every owner of live memory, one after another. */
  tenants(device: number): number[];
  /** Fills the 128 bytes that name a new world of ranks. */
  commId(device: number, name: Uint8Array): void;
  commJoin(device: number, name: Uint8Array, rank: number, world: number): void;
  /** An operation of a world; the elements of each rank's part lie in `args`. */
  comm(device: number, verb: number, from: number, to: number, root: number, world: number): void;
  range(device: number, name: string): void;
  plans(device: number, verb: 0 | 1 | 2, text?: string): string;
  timer(device: number, from: number, to?: number): number;
}

/** Folder that holds `nsa.node` and, where it was built, `libnsa_cuda.so`. `NSA_NATIVE_DIR` overrides it. */
export function nativeDir(): string {
  if (process.env.NSA_NATIVE_DIR) return process.env.NSA_NATIVE_DIR;
  let dir = dirname(fileURLToPath(import.meta.url));
  for (let i = 0; i < 8; i++) {
    const candidate = join(dir, "build", "native");
    if (existsSync(join(candidate, "nsa.node"))) return candidate;
    dir = dirname(dir);
  }
  return "";
}

let loaded: Addon | undefined;

/** The addon, loaded on first use. Throws NsaError `addon_missing` (exit 4) when it has not been built. */
export function addon(): Addon {
  if (loaded) return loaded;
  const dir = nativeDir();
  const path = join(dir, "nsa.node");
  if (!dir || !existsSync(path)) {
    throw new NsaError({
      code: "addon_missing",
      what: "the native addon nsa.node is not there",
      why: "it has not been built on this machine",
      fix: "run `npm run setup` (needs a C++20 compiler and CMake)",
      exitCode: 4,
    });
  }
  loaded = createRequire(import.meta.url)(path) as Addon;
  return loaded;
}
