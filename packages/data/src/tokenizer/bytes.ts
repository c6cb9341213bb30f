// The byte-to-character table of byte-level BPE (GPT-2): every byte gets a printable character.

const printable = (b: number) => (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || (b >= 174 && b <= 255);

/** Character of each byte, [256]. */
export const byteChars: readonly string[] = (() => {
  let next = 256;
  return Array.from({ length: 256 }, (_, b) => String.fromCharCode(printable(b) ? b : next++));
})();

const charBytes = new Map(byteChars.map((c, b) => [c, b]));

/** Text of a token made of byte characters, as bytes; a token with any other character is plain text. */
export function tokenBytes(token: string): Uint8Array {
  const bytes = Array.from(token, (c) => charBytes.get(c));
  return bytes.every((b) => b !== undefined) ? Uint8Array.from(bytes) : new TextEncoder().encode(token);
}
