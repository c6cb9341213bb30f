// JSON files that vouch for others (hashes, what is finished) and for themselves.
//
// The last key, `seal`, is the SHA-256 of the JSON text of all before it. A file counts as intact only if its bytes are exactly those
// that were written, so no edit and no flipped bit passes, not even one that leaves the JSON's meaning as it was.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { z } from "zod";
import { firstComplaint } from "./config/plain-words.ts";

/** The schema of a seal, for the file's own. */
export const sealSchema = z.string().regex(/^[0-9a-f]{64}$/, "is not a SHA-256");

/** The text of a sealed file. A `seal` that is there already is made again. */
export function sealJson(content: object): string {
  const { seal: _, ...rest } = content as { seal?: unknown };
  const text = JSON.stringify(rest);
  const seal = createHash("sha256").update(text).digest("hex");
  return `${JSON.stringify({ ...JSON.parse(text), seal }, null, 1)}\n`;
}

/** Whether the bytes of a file, of which `json` is what they parse to, are those that {@link sealJson} gave. */
export function isIntact(bytes: Uint8Array, json: object): boolean {
  return Buffer.from(sealJson(json)).equals(bytes);
}

export type SealedFile<T> = { value: T; fault?: undefined } | { value?: undefined; fault: string };

/**
 * Reads a file of {@link sealJson}, or why it cannot be trusted. Where the schema leaves `seal` optional, files of before they were
 * sealed are taken as they are. Throws what reading throws.
 */
export function readSealed<T extends object>(path: string, schema: z.ZodType<T>): SealedFile<T> {
  const bytes = readFileSync(path);
  let json: unknown;
  try {
    json = JSON.parse(bytes.toString("utf8"));
  } catch {
    return { fault: "it is not JSON" };
  }
  const parsed = schema.safeParse(json);
  if (!parsed.success) {
    const { path, why } = firstComplaint(parsed.error, json);
    return { fault: `it is not what was written: ${path === "" ? why : `${path}: ${why}`}` };
  }
  if ("seal" in (json as object) && !isIntact(bytes, json as object))
    return { fault: "it is not what was written (its seal differs)" };
  return { value: parsed.data };
}
