// The last formula or number of a text: what stands in for a final answer that nothing marks.

const MAX_TEXT = 6000;

interface Value {
  start: number;
  end: number;
  text: string;
}

/** Sentences of a text by place: they end at a line break, or at . ! ? before white space outside $…$. */
function sentenceSpans(text: string): Value[] {
  const out: Value[] = [];
  let [start, dollars] = [0, 0];
  const close = (end: number) => {
    const sentence = text.slice(start, end).trim();
    if (sentence !== "") out.push({ start, end, text: sentence });
  };
  for (let i = 0; i < text.length; i++) {
    const c = text[i]!;
    if (c === "\\") i++;
    else if (c === "$") dollars++;
    const stop =
      (c === "." || c === "!" || c === "?") && dollars % 2 === 0 && /^\s|^$/.test(text[i + 1] ?? "");
    if (stop || (c === "\n" && dollars % 2 === 0)) {
      close(c === "\n" ? i : i + 1);
      start = i + 1;
    }
  }
  close(text.length);
  return out;
}

export function sentences(text: string): string[] {
  return sentenceSpans(text).map((s) => s.text);
}

/** Formulas between $…$ (within a line, as in TeX's running text), $$…$$, \(…\), \[…\]. */
function formulas(text: string): Value[] {
  const out: Value[] = [];
  const endless = new Set<string>();
  let i = 0;
  while (i < text.length) {
    const two = text.slice(i, i + 2);
    let close = "";
    if (two === "$$") close = "$$";
    else if (two === "\\(") close = "\\)";
    else if (two === "\\[") close = "\\]";
    else if (text[i] === "$") close = "$";
    else if (text[i] === "\\") {
      i += 2;
      continue;
    }
    if (close === "") {
      i++;
      continue;
    }
    const from = i + close.length;
    // Where one has no end, those behind it have none.
    const end = endless.has(close) ? -1 : closing(text, from, close);
    if (end < 0) endless.add(close);
    // Running formulas hold no line break: $5 on one line and $6 on the next are prices.
    const running = close === "$" || close === "\\)";
    if (end < 0 || (running && text.slice(from, end).includes("\n"))) {
      i = from;
      continue;
    }
    const percent = /^\s*(?:\\?%|percent\b|pct\b|percentage\b)/.exec(
      text.slice(end + close.length, end + close.length + 16),
    );
    out.push({
      start: i,
      end: end + close.length,
      text: text.slice(from, end).trim() + (percent ? "\\%" : ""),
    });
    i = end + close.length;
  }
  return out;
}

function closing(text: string, from: number, close: string): number {
  for (let at = text.indexOf(close, from); at >= 0; at = text.indexOf(close, at + 1)) {
    if (close !== "$" || text[at - 1] !== "\\") return at;
  }
  return -1;
}

const number =
  /(?<![\p{L}\p{Nd}_])[-+−]?(?:[$€£¥]\s?)?(?:\p{Nd}{1,3}(?:(?:,|\{,\}|,\\!| )\p{Nd}{3})+(?!\p{Nd})(?:\.\p{Nd}+)?|\p{Nd}+(?:[.,]\p{Nd}+)?(?:\s?\/\s?\p{Nd}+(?:\.\p{Nd}+)?)?|\.\p{Nd}+)(?!\p{Nd})\s?(?:\\?%|percent\b|pct\b|percentage\b)?(?!\p{L}*\p{Nd})/gu;

function numbers(text: string): Value[] {
  return [...text.matchAll(number)].map((m) => ({ start: m.index, end: m.index + m[0].length, text: m[0] }));
}

const together = /^[\s,;]*(?:and|or|和|或)?[\s,;]*$/;

/** The last formulas of a list, joined while only separators stand between them. */
function joined(values: readonly Value[], text: string): string {
  const parts: string[] = [];
  let next: Value | undefined;
  for (let i = values.length - 1; i >= 0; i--) {
    const value = values[i]!;
    if (next && !together.test(text.slice(value.end, next.start))) break;
    parts.unshift(value.text);
    next = value;
  }
  return parts.join(", ");
}

/** The last formula, or with "any" the last formula or number of the last sentence that has one. */
export function lastValue(whole: string, kind: "latex" | "any"): string | undefined {
  const text = whole.slice(-MAX_TEXT);
  const all = formulas(text).filter((f) => f.text !== "" && f.text !== "\\%");
  if (kind === "latex") return all.length > 0 ? joined(all, text) : undefined;
  for (const { start: from, end } of sentenceSpans(text).reverse()) {
    const inside = all.filter((f) => f.end > from && f.start < end);
    // Formulas are blanked, so that their digits are not numbers of the sentence.
    let plain = text.slice(from, end);
    for (const f of inside) {
      const [a, b] = [Math.max(0, f.start - from), Math.min(plain.length, f.end - from)];
      plain = plain.slice(0, a) + " ".repeat(b - a) + plain.slice(b);
    }
    const digits = numbers(plain).at(-1);
    const formula = inside.at(-1);
    if (formula && (!digits || formula.start - from >= digits.start)) return joined(inside, text);
    if (digits) return digits.text.trim();
  }
  return undefined;
}
