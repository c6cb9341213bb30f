// Keys of a document for exact duplicates: its normalised URL, and its text up to case, spaces and punctuation.
import { createHash } from "node:crypto";
import { normaliseUrl } from "./url.ts";

/** 8-byte key as a hexadecimal string; collisions at 10^9 documents: 3 %  of one pair. */
function key64(text: string): bigint {
  return createHash("md5").update(text).digest().readBigUInt64LE(0);
}

export function urlKey(url: string): bigint {
  return url === "" ? 0n : key64(`u:${normaliseUrl(url)}`);
}

/** Key of the text with everything but letters and digits dropped and case folded. */
export function contentKey(text: string): bigint {
  return key64(`t:${text.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, " ")}`);
}
