// Manifests: what a task made, addressed by a hash of its settings and inputs. They hold no clock and no host, so
// that a rerun's manifests are byte-identical too.
import { createHash } from "node:crypto";
import {
  createReadStream,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { atomicWriteFile, NsaError } from "@nsa/core";

/** Raised when a task's output format changes, so that old outputs are made again. */
const FORMAT = 1;

export interface OutputEntry {
  /** Relative to the run's folder. */
  path: string;
  bytes: number;
  sha256: string;
}

export interface Manifest {
  kind: string;
  name: string;
  /** sha256 of kind, spec and the inputs' hashes. */
  fingerprint: string;
  outputs: OutputEntry[];
  stats: Record<string, unknown>;
}

export async function hashFile(path: string): Promise<string> {
  if (!existsSync(path)) {
    throw new NsaError({
      code: "input_missing",
      what: `cannot read ${path}`,
      why: "the file is not there",
      fix: "check the path in the config",
      exitCode: 3,
    });
  }
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer);
  return hash.digest("hex");
}

/** JSON with sorted keys, so that equal settings give equal hashes. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  if (value !== null && typeof value === "object") {
    const entries = Object.entries(value).filter(([, v]) => v !== undefined);
    entries.sort(([a], [b]) => (a < b ? -1 : 1));
    return `{${entries.map(([k, v]) => `${JSON.stringify(k)}:${canonicalJson(v)}`).join(",")}}`;
  }
  return JSON.stringify(value) ?? "null";
}

export function fingerprintOf(kind: string, spec: unknown, inputHashes: string[]): string {
  return createHash("sha256").update(canonicalJson({ FORMAT, kind, spec, inputHashes })).digest("hex");
}

/** Writes a file whole or not at all, making its folder. */
export function writeAtomic(path: string, data: string | Uint8Array): void {
  mkdirSync(dirname(path), { recursive: true });
  atomicWriteFile(path, data);
}

/** Removes what killed tasks left half-written. Only the process that drives a run may call this. */
export function clearTemporaries(dir: string): void {
  if (!existsSync(dir)) return;
  for (const entry of readdirSync(dir, { recursive: true, withFileTypes: true }))
    if (entry.isFile() && /\.tmp-\d+/.test(entry.name))
      rmSync(join(entry.parentPath, entry.name), { force: true });
}

export function manifestPath(outDir: string, kind: string, name: string): string {
  return join(outDir, "manifests", kind.replace(/[^\w.-]/g, "_"), `${name}.json`);
}

/** The manifest, if it is whole, has this fingerprint, and its outputs still have their sizes. */
export function validManifest(
  outDir: string,
  kind: string,
  name: string,
  fingerprint: string,
): Manifest | undefined {
  const path = manifestPath(outDir, kind, name);
  if (!existsSync(path)) return undefined;
  let manifest: Manifest;
  try {
    manifest = JSON.parse(readFileSync(path, "utf8")) as Manifest;
  } catch {
    return undefined;
  }
  if (manifest.fingerprint !== fingerprint) return undefined;
  for (const { path: output, bytes } of manifest.outputs) {
    const full = join(outDir, output);
    if (!existsSync(full) || statSync(full).size !== bytes) return undefined;
  }
  return manifest;
}
