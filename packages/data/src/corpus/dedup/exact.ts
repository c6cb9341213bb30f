// Keys of a document for exact duplicates: its normalised URL, and its words.
import { createHash } from "node:crypto";
import { normaliseUrl } from "./url.ts";

/** First 8 bytes of MD5: two of a billion documents collide with a probability of 3 %. */
function key64(kind: string, text: string | Uint8Array): bigint {
  return createHash("md5").update(kind).update(text).digest().readBigUInt64LE(0);
}

/** 0 without a URL. */
export function urlKey(url: string): bigint {
  return url === "" ? 0n : key64("u:", normaliseUrl(url));
}

/** Key of a text as `comparedForm` gives it, as a string or in UTF-8. */
export function contentKey(words: string | Uint8Array): bigint {
  return key64("t:", words);
}

export function idKey(id: string): bigint {
  return key64("i:", id);
}
