// Bytes of a page to text by the web's encoding standard: byte order mark, then the HTTP header, then what an HTML page
// says of itself, then UTF-8, then windows-1252, which decodes anything.
import { isAscii, isUtf8 as isValidUtf8 } from "node:buffer";
import { getBOMEncoding, legacyHookDecode } from "@exodus/bytes/encoding.js";
import { charsetOfHeader, possible, sniffHtml } from "./sniff.ts";

const ESCAPE = 0x1b;

/** The text of `bytes`; a type that is given and is no HTML or XML is not searched for declarations. */
export function decodePage(bytes: Uint8Array, contentType: string): string {
  // Every encoding of the web but UTF-16 and ISO-2022-JP reads ASCII as ASCII.
  if (isAscii(bytes) && !bytes.includes(0) && !bytes.includes(ESCAPE))
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
  const stated = getBOMEncoding(bytes) ?? possible(charsetOfHeader(contentType), bytes);
  const markup = contentType === "" || /html|xml/i.test(contentType);
  const encoding = stated ?? (markup ? sniffHtml(bytes) : undefined);
  if (encoding) return legacyHookDecode(bytes, encoding.toLowerCase());
  const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
  return isUtf8(text, bytes) ? text : legacyHookDecode(bytes, "windows-1252");
}

/** One broken sequence in so many sound ones is damage; legacy text has few sound ones by chance. */
const SOUND_PER_BROKEN = 2;

/** Whether bytes that were decoded as UTF-8 are it: whole, cut at the end, or damaged here and there. */
function isUtf8(text: string, bytes: Uint8Array): boolean {
  let [broken, sound] = [0, 0];
  for (const c of text) {
    if (c === "\ufffd") broken++;
    else if (c > "\x7f") sound++;
  }
  if (broken === 0) return true;
  // The character itself may stand in the text.
  if (isValidUtf8(bytes)) return true;
  const cut = broken === 1 && text.endsWith("\ufffd") && bytes.at(-1)! >= 0x80;
  return sound >= (cut ? 1 : SOUND_PER_BROKEN * broken);
}

/** Whether a decoded page is no text: NULs, which neither markup nor prose has. */
export function looksBinary(text: string): boolean {
  const first = text.indexOf("\0");
  if (first < 0) return false;
  let zeros = 0;
  for (let i = first; i >= 0; i = text.indexOf("\0", i + 1)) zeros++;
  return zeros * 100 > text.length;
}
