// UTF-8 to strings; ASCII, which most lines are, without a decoder.
import { isAscii } from "node:buffer";

const strict = new TextDecoder("utf-8", { fatal: true });

/** Throws TypeError when the bytes are no UTF-8. A byte order mark at the start is dropped. */
export function decodeUtf8(bytes: Uint8Array): string {
  if (!isAscii(bytes)) return strict.decode(bytes);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}
