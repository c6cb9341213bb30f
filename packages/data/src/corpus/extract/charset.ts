// Bytes of a page to text by the web's encoding standard: byte order mark, then the HTTP header, then what an HTML page
// says of itself, then UTF-8, then windows-1252, which decodes anything.
import { isAscii } from "node:buffer";
import { getBOMEncoding, legacyHookDecode } from "@exodus/bytes/encoding.js";
import { charsetOfHeader, sniffHtml } from "./sniff.ts";

const ESCAPE = 0x1b;

/** The text of `bytes`; a type that is given and is no HTML or XML is not searched for declarations. */
export function decodePage(bytes: Uint8Array, contentType: string): string {
  // Every encoding of the web but UTF-16 and ISO-2022-JP reads ASCII as ASCII.
  if (isAscii(bytes) && !bytes.includes(0) && !bytes.includes(ESCAPE))
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
  const stated = getBOMEncoding(bytes) ?? charsetOfHeader(contentType);
  const markup = contentType === "" || /html|xml/i.test(contentType);
  const encoding = stated ?? (markup ? sniffHtml(bytes) : undefined);
  if (encoding) return legacyHookDecode(bytes, encoding.toLowerCase());
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return legacyHookDecode(bytes, "windows-1252");
  }
}

/** Whether a decoded page is no text: NULs, which neither markup nor prose has. */
export function looksBinary(text: string): boolean {
  const first = text.indexOf("\0");
  if (first < 0) return false;
  let zeros = 0;
  for (let i = first; i >= 0; i = text.indexOf("\0", i + 1)) zeros++;
  return zeros * 100 > text.length;
}
