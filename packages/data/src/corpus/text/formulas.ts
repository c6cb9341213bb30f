// Takes formulas out of a text by their delimiters, in one pass: each closing mark is looked for once, however many open.

/** Opening and closing marks, the longest formula between them, and what it has not. */
const DELIMITERS = [
  { open: "$$", close: "$$", limit: 2000, without: "$" },
  { open: "$", close: "$", limit: 500, without: "\n" },
  { open: "\\(", close: "\\)", limit: 500, without: undefined },
  { open: "\\[", close: "\\]", limit: 2000, without: undefined },
];

/** A text with a blank in place of each formula between delimiters. */
export function withoutFormulas(text: string): string {
  const found = new Map<string, { from: number; at: number }>();
  const next = (mark: string, from: number): number => {
    const last = found.get(mark);
    if (last && last.from <= from && from <= last.at) return last.at;
    const index = text.indexOf(mark, from);
    const at = index < 0 ? Number.POSITIVE_INFINITY : index;
    found.set(mark, { from, at });
    return at;
  };
  let out = "";
  let copied = 0;
  for (let at = 0; at < text.length; at++) {
    if (text[at] !== "$" && text[at] !== "\\") continue;
    for (const { open, close, limit, without } of DELIMITERS) {
      if (!text.startsWith(open, at)) continue;
      const from = at + open.length;
      const end = next(close, close === "$" || close === "$$" ? from : from + 1);
      if (end === from || end - from > limit) continue;
      if (without !== undefined && next(without, from) < end) continue;
      out += `${text.slice(copied, at)} `;
      copied = end + close.length;
      at = copied - 1;
      break;
    }
  }
  return out + text.slice(copied);
}
