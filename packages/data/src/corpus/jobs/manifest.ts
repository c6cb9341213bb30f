// Manifests: what a task made, addressed by a hash of its settings and inputs. They hold no clock and no host, so
// that a rerun's manifests are byte-identical too.
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { atomicWriteFile, NsaError, readSealed, sealJson, sealSchema, sha256OfFile } from "@nsa/core";
import { z } from "zod";

/** Raised when a task's output format changes, so that old outputs are made again. */
const FORMAT = 1;

const outputSchema = z.strictObject({
  /** Relative to the run's folder. */
  path: z.string(),
  bytes: z.number().int().min(0),
  sha256: sealSchema,
});

const manifestSchema = z.strictObject({
  kind: z.string(),
  name: z.string(),
  /** sha256 of kind, spec and the inputs' hashes. */
  fingerprint: sealSchema,
  outputs: z.array(outputSchema),
  stats: z.record(z.string(), z.unknown()),
  /** Absent in manifests of before they were sealed. */
  seal: sealSchema.optional(),
});

export type Manifest = Omit<z.output<typeof manifestSchema>, "seal">;

export function writeManifest(outDir: string, manifest: Manifest): void {
  writeAtomic(manifestPath(outDir, manifest.kind, manifest.name), sealJson(manifest));
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
  return sha256OfFile(path);
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

export function manifestPath(outDir: string, kind: string, name: string): string {
  return join(outDir, "manifests", kind.replace(/[^\w.-]/g, "_"), `${name}.json`);
}

/** The manifest, if it is what was written, has this fingerprint, and its outputs still have their sizes. */
export function validManifest(
  outDir: string,
  kind: string,
  name: string,
  fingerprint: string,
): Manifest | undefined {
  const path = manifestPath(outDir, kind, name);
  if (!existsSync(path)) return undefined;
  const { value } = readSealed(path, manifestSchema);
  if (value?.fingerprint !== fingerprint || value.kind !== kind || value.name !== name) return undefined;
  const { seal: _, ...manifest } = value;
  for (const { path: output, bytes } of manifest.outputs) {
    const full = join(outDir, output);
    if (!existsSync(full) || statSync(full).size !== bytes) return undefined;
  }
  return manifest;
}
