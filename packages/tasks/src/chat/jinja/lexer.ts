// Tokens of a Jinja template with the white space rules of chat templates: trim_blocks and lstrip_blocks are on.

/** White space as Python has it: U+001C to U+001F and U+0085 are, U+FEFF is not. */
export const SPACE = "\\t-\\r\\x1c- \\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";

export interface Token {
  kind: "text" | "open" | "close" | "name" | "string" | "integer" | "float" | "operator" | "end";
  /** Source of names, numbers and operators; the meaning of texts and strings; `{%` or `{{`, `%}` or `}}`. */
  value: string;
  /** Place of the tag that the token is in. */
  tag: number;
}

/** A mistake in a template, with the place of its tag in the source. */
export class JinjaMistake extends Error {
  constructor(
    message: string,
    readonly tag: number,
  ) {
    super(message);
  }
}

const TAG = new RegExp(`\\{%([-+]?)[${SPACE}]*raw[${SPACE}]*(-%\\}[${SPACE}]*|%\\})|\\{([%{#])([-+]?)`, "g");
const END_RAW = new RegExp(
  `\\{%([-+]?)[${SPACE}]*endraw[${SPACE}]*(?:\\+%\\}|-%\\}[${SPACE}]*|%\\}\\n?)`,
  "g",
);
const END_COMMENT = new RegExp(`\\+#\\}|-#\\}[${SPACE}]*|#\\}\\n?`, "g");
const END_BLOCK = new RegExp(`\\+%\\}|-%\\}[${SPACE}]*|%\\}\\n?`, "y");
const END_PRINT = new RegExp(`-\\}\\}[${SPACE}]*|\\}\\}`, "y");
const BLANK = new RegExp(`[${SPACE}]+`, "y");
const IS_BLANK = new RegExp(`[${SPACE}]`);
const BLANKS_ONLY = new RegExp(`^[${SPACE}]+$`);

/** A text without blanks at its end. A loop, since an expression that ends in $ would try each run of blanks again from each of its places. */
export function withoutBlanksAtEnd(text: string): string {
  let end = text.length;
  while (end > 0 && IS_BLANK.test(text[end - 1]!)) end--;
  return text.slice(0, end);
}

const INNER: [Token["kind"], RegExp][] = [
  ["float", /(?<!\.)(?:\d+_)*\d+(?:(?:\.(?:\d+_)*\d+)?e[+-]?(?:\d+_)*\d+|\.(?:\d+_)*\d+)/iy],
  ["integer", /0b(?:_?[01])+|0o(?:_?[0-7])+|0x(?:_?[\da-f])+|[1-9](?:_?\d)*|0(?:_?0)*/iy],
  ["name", /[\p{L}\p{Nl}_][\p{L}\p{Nl}\p{Mn}\p{Mc}\p{Nd}\p{Pc}]*/uy],
  ["string", /'[^'\\]*(?:\\.[^'\\]*)*'|"[^"\\]*(?:\\.[^"\\]*)*"/sy],
  ["operator", /\/\/|\*\*|==|!=|>=|<=|[-+/*%~[\](){}><=.:|,;]/y],
];

const ESCAPES: Record<string, string> = {
  n: "\n",
  t: "\t",
  r: "\r",
  b: "\b",
  f: "\f",
  v: "\v",
  a: "\x07",
  "\n": "",
};

/** The text that a string of the source means; an unknown escape keeps its backslash. */
function unescaped(source: string, tag: number): string {
  return source.replace(
    /\\(?:x([\da-fA-F]{2})|u([\da-fA-F]{4})|U([\da-fA-F]{8})|([0-7]{1,3})|([\s\S]))/g,
    (whole, x?: string, u?: string, long?: string, octal?: string, one?: string) => {
      const hex = x ?? u ?? long;
      if (hex !== undefined) return String.fromCodePoint(Number.parseInt(hex, 16));
      if (octal !== undefined) return String.fromCodePoint(Number.parseInt(octal, 8));
      if (one === "x" || one === "u" || one === "U" || one === "N")
        throw new JinjaMistake(`the escape \\${one} in a string cannot be read`, tag);
      if (one === "\\" || one === "'" || one === '"') return one;
      return ESCAPES[one!] ?? whole;
    },
  );
}

const CLOSING: Record<string, string> = { ")": "(", "]": "[", "}": "{" };

/** Tokens of one tag from `at` on, up to and with its end. Returns the place behind it. */
function tagTokens(source: string, at: number, tag: number, block: boolean, tokens: Token[]): number {
  const end = block ? END_BLOCK : END_PRINT;
  const open: string[] = [];
  let place = at;
  const match = (expression: RegExp): string | undefined => {
    expression.lastIndex = place;
    return expression.exec(source)?.[0];
  };
  while (place < source.length) {
    const closing = open.length === 0 ? match(end) : undefined;
    if (closing !== undefined) {
      tokens.push({ kind: "close", value: block ? "%}" : "}}", tag });
      return place + closing.length;
    }
    const blank = match(BLANK);
    if (blank !== undefined) {
      place += blank.length;
      continue;
    }
    const found = INNER.map(([kind, expression]) => [kind, match(expression)] as const).find(
      ([, text]) => text,
    );
    if (!found) throw new JinjaMistake(`unexpected character ${JSON.stringify(source[place])}`, tag);
    const [kind, text] = found as [Token["kind"], string];
    if (kind === "operator") {
      if ("([{".includes(text)) open.push(text);
      else if (text in CLOSING && open.pop() !== CLOSING[text])
        throw new JinjaMistake(`unexpected '${text}'`, tag);
    }
    tokens.push({ kind, value: kind === "string" ? unescaped(text.slice(1, -1), tag) : text, tag });
    place += text.length;
  }
  throw new JinjaMistake(`the tag has no end, ${block ? "%}" : "}}"}`, tag);
}

/** The text before a tag, as the tag's sign and lstrip_blocks leave it. */
function before(text: string, sign: string, prints: boolean, lineStarts: boolean): string {
  if (sign === "-") return withoutBlanksAtEnd(text);
  if (sign === "+" || prints) return text;
  const line = text.lastIndexOf("\n") + 1;
  return (line > 0 || lineStarts) && BLANKS_ONLY.test(text.slice(line)) ? text.slice(0, line) : text;
}

/** The place behind the next match of `end`, and what is before it. */
function upTo(
  end: RegExp,
  source: string,
  from: number,
  tag: number,
): { match: RegExpExecArray; next: number } {
  end.lastIndex = from;
  const match = end.exec(source);
  if (!match) throw new JinjaMistake("the tag has no end", tag);
  return { match, next: match.index + match[0].length };
}

/** Tokens of a template. Throws JinjaMistake. */
export function tokensOf(template: string): Token[] {
  // Line ends are one kind, and one at the end does not count.
  const source = template.replace(/\r\n?/g, "\n").replace(/\n$/, "");
  const tokens: Token[] = [];
  const text = (value: string, tag: number) => {
    if (value !== "") tokens.push({ kind: "text", value, tag });
  };
  let at = 0;
  while (at < source.length) {
    TAG.lastIndex = at;
    const tag = TAG.exec(source);
    const lineStarts = at === 0 || source[at - 1] === "\n";
    if (!tag) {
      text(source.slice(at), at);
      break;
    }
    const [whole, rawSign, rawEnd, sort, sign] = tag;
    const from = tag.index + whole.length;
    text(before(source.slice(at, tag.index), rawSign ?? sign ?? "", sort === "{", lineStarts), at);
    if (rawEnd !== undefined) {
      const { match, next } = upTo(END_RAW, source, from, tag.index);
      text(before(source.slice(from, match.index), match[1]!, false, source[from - 1] === "\n"), tag.index);
      at = next;
    } else if (sort === "#") {
      at = upTo(END_COMMENT, source, from, tag.index).next;
    } else {
      tokens.push({ kind: "open", value: sort === "%" ? "{%" : "{{", tag: tag.index });
      at = tagTokens(source, from, tag.index, sort === "%", tokens);
    }
  }
  tokens.push({ kind: "end", value: "", tag: source.length });
  return tokens;
}
