// The record that every reader yields and every step passes on, and why a record is refused.

export interface Document {
  id: string;
  url: string;
  /** Host of `url` without `www.`, lower-case; empty without a URL. */
  domain: string;
  title: string;
  text: string;
  /** File name and byte offset (in the decompressed stream) the record came from. */
  source: { file: string; offset: number };
}

/** A record that cannot be used; it goes to quarantine with its reason. */
export interface Refusal {
  file: string;
  offset: number;
  reason: string;
  /** First characters of the record, to recognise it by. */
  excerpt: string;
}

/** `skipped`: a sound record that is no document (an image, a redirect); counted, not quarantined. */
export type ReadEvent = { document: Document } | { refusal: Refusal } | { skipped: string };

export function domainOf(url: string): string {
  const match = /^[a-z][a-z0-9+.-]*:\/\/(?:[^/?#@]*@)?([^/?#:]+)/i.exec(url);
  return match ? match[1]!.toLowerCase().replace(/^www\./, "") : "";
}

export function refuse(file: string, offset: number, reason: string, raw: string): ReadEvent {
  return { refusal: { file, offset, reason, excerpt: raw.slice(0, 120) } };
}
