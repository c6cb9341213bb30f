// LaTeX sources as documents: comments out, included files in, macros without arguments written out, the body alone.
//
// A paper is one document: the file with \documentclass, with what it includes in its place. What stands before
// \begin{document} (but for the title), the bibliography and what stands behind \end{document} go, as in the arXiv part of
// public corpora. Files that no paper includes are documents of their own only where there is no paper among them.
import { posix } from "node:path";
import { decodePage } from "../extract/charset.ts";

/** Names of inputenc's options that the web knows under others. */
const ENCODINGS: Record<string, string> = {
  latin1: "windows-1252",
  latin2: "iso-8859-2",
  latin3: "iso-8859-3",
  latin4: "iso-8859-4",
  latin5: "iso-8859-9",
  latin9: "iso-8859-15",
  latin10: "iso-8859-16",
  ansinew: "windows-1252",
  applemac: "macintosh",
  maccyr: "x-mac-cyrillic",
  cp1250: "windows-1250",
  cp1251: "windows-1251",
  cp1252: "windows-1252",
  cp1257: "windows-1257",
  "koi8-r": "koi8-r",
  "koi8-u": "koi8-u",
};

const strictUtf8 = new TextDecoder("utf-8", { fatal: true });

/** Bytes of a TeX file as text: UTF-8, else the encoding that inputenc names, else windows-1252. */
export function decodeTex(bytes: Uint8Array): string {
  try {
    return strictUtf8.decode(bytes);
  } catch {
    const ascii = Buffer.from(bytes).toString("latin1");
    const option = /\\usepackage\s*\[([^\]]{1,40})\]\s*\{inputenc\}/.exec(ascii)?.[1]?.trim().toLowerCase();
    return decodePage(bytes, `text/plain; charset=${ENCODINGS[option ?? ""] ?? "windows-1252"}`);
  }
}

/** Where a file is read as it stands: inside these environments, and behind \verb up to its mark. */
const VERBATIM = /\\begin\s*\{(verbatim\*?|lstlisting|minted|Verbatim|alltt)\}|\\verb\*?([^a-zA-Z\s*])/g;

const COMMENT = /(?<!\\)(?:\\\\)*%/;

/** The pieces of a text, those that are read as they stand marked. */
function* pieces(text: string): Generator<{ text: string; plain: boolean }> {
  const pattern = new RegExp(VERBATIM.source, "g");
  const neverClosed = new Set<string>();
  let at = 0;
  let scanned = 0;
  let commented = false;
  for (let match = pattern.exec(text); match; match = pattern.exec(text)) {
    // One that stands behind a comment's sign begins nothing.
    const between = text.slice(scanned, match.index);
    const newline = between.lastIndexOf("\n");
    commented = (newline < 0 && commented) || COMMENT.test(between.slice(newline + 1));
    scanned = match.index;
    const close = match[1] ? `\\end{${match[1]}}` : match[2]!;
    if (commented || neverClosed.has(close)) continue;
    const found = text.indexOf(close, pattern.lastIndex);
    if (found < 0) {
      neverClosed.add(close);
      continue;
    }
    const end = found + close.length;
    yield { text: text.slice(at, match.index), plain: true };
    yield { text: text.slice(match.index, end), plain: false };
    at = end;
    scanned = end;
    pattern.lastIndex = end;
  }
  yield { text: text.slice(at), plain: true };
}

/** The text without all that stands in environments of a name; one that never closes stays. */
function withoutEnvironment(text: string, name: string): string {
  const [open, close] = [`\\begin{${name}}`, `\\end{${name}}`];
  let out = "";
  let at = 0;
  for (;;) {
    const begin = text.indexOf(open, at);
    const end = begin < 0 ? -1 : text.indexOf(close, begin);
    if (end < 0) return out + text.slice(at);
    out += text.slice(at, begin);
    at = end + close.length;
  }
}

/** Comments as TeX takes them: the sign, the rest of its line, the line's end and the blanks that begin the next one. */
function withoutComments(text: string): string {
  return [...pieces(withoutEnvironment(text, "comment"))]
    .map((piece) =>
      piece.plain
        ? piece.text
            .replace(/^[ \t]*%[^\n]*(?:\n|$)/gm, "")
            .replace(/((?<!\\)(?:\\\\)*)%[^\n]*\n?[ \t]*/g, "$1")
        : piece.text,
    )
    .join("");
}

/** Longer groups are neither titles nor macros. */
const MAX_GROUP = 2000;

/** The group in braces at `at`, without them; undefined where it does not close within its greatest length. */
function groupAt(text: string, at: number): { inner: string; end: number } | undefined {
  if (text[at] !== "{") return undefined;
  let depth = 0;
  for (let i = at; i < Math.min(text.length, at + MAX_GROUP); i++) {
    const c = text[i];
    if (c === "\\") i++;
    else if (c === "{") depth++;
    else if (c === "}" && --depth === 0) return { inner: text.slice(at + 1, i), end: i + 1 };
  }
  return undefined;
}

const INCLUDE =
  /\\(?:input|include|subfile)\s*\{([^{}]{1,200})\}|\\(?:sub)?import\s*\{([^{}]{0,200})\}\s*\{([^{}]{1,200})\}|\\input\s+([^\s{}\\]{1,200})/g;
const MAX_DEPTH = 10;

/** Files of one submission by their paths. */
export type TexFiles = ReadonlyMap<string, string>;

class Inclusion {
  readonly used = new Set<string>();
  private size = 0;
  constructor(
    private readonly files: TexFiles,
    private readonly maxChars: number,
  ) {}

  /** A file's text with the files that it includes, `base` being the folder of the paper. */
  text(path: string, base: string, open: readonly string[] = []): string {
    this.used.add(path);
    const own = withoutComments(this.files.get(path)!);
    this.size += own.length;
    const inside = [...open, path];
    return [...pieces(own)]
      .map((piece) => (piece.plain ? this.included(piece.text, base, inside) : piece.text))
      .join("");
  }

  private included(text: string, base: string, open: readonly string[]): string {
    return text.replace(
      INCLUDE,
      (whole, name?: string, folder?: string, imported?: string, bare?: string) => {
        const asked = (name ?? (imported === undefined ? bare! : `${folder}/${imported}`)).trim();
        const path = this.find(asked, base);
        if (path === undefined) return name?.startsWith("\\") ? whole : "";
        if (open.includes(path) || open.length > MAX_DEPTH || this.size > this.maxChars) return "";
        return this.text(path, base, open);
      },
    );
  }

  private find(name: string, base: string): string | undefined {
    for (const folder of [base, ""])
      for (const ending of [".tex", "", ".ltx"]) {
        const path = posix.normalize(posix.join(folder, `${name}${ending}`));
        if (this.files.has(path)) return path;
      }
    return undefined;
  }
}

const DEFINITION =
  /\\(?:(?:re)?newcommand|providecommand)\*?\s*(?:\{\s*\\([a-zA-Z]+)\s*\}|\\([a-zA-Z]+))\s*(?=\{)|\\def\s*\\([a-zA-Z]+)\s*(?=\{)|\\DeclareMathOperator(\*?)\s*(?:\{\s*\\([a-zA-Z]+)\s*\}|\\([a-zA-Z]+))\s*(?=\{)/g;
const MAX_MACRO = 500;

/** Macros without arguments that a text defines, and the text without these definitions. */
function takeMacros(text: string): { macros: Map<string, string>; rest: string } {
  const macros = new Map<string, string>();
  let rest = "";
  let at = 0;
  for (const match of text.matchAll(DEFINITION)) {
    const group = groupAt(text, match.index + match[0].length);
    if (match.index < at || !group || group.inner.length > MAX_MACRO || group.inner.includes("#")) continue;
    rest += text.slice(at, match.index);
    at = group.end;
    const operator = match[5] ?? match[6];
    const name = match[1] ?? match[2] ?? match[3] ?? operator!;
    const value = group.inner.trim();
    macros.set(name, operator === undefined ? value : `\\operatorname${match[4]}{${value}}`);
  }
  return { macros, rest: rest + text.slice(at) };
}

/** The text with those macros written out, macros within macros too, up to `maxChars`. */
function written(text: string, macros: ReadonlyMap<string, string>, maxChars: number): string {
  if (macros.size === 0) return text;
  let left = maxChars;
  const expand = (part: string, open: readonly string[]): string =>
    part.replace(/\\([a-zA-Z]+)[ \t]*/g, (whole, name: string) => {
      const value = macros.get(name);
      if (value === undefined || open.includes(name) || open.length > MAX_DEPTH || left < 0) return whole;
      const out = expand(value, [...open, name]);
      left -= out.length;
      // The blanks end the macro's name; a command at its end needs one before a letter.
      return `${out}${/\\[a-zA-Z]+$/.test(out) ? " " : whole.slice(name.length + 1)}`;
    });
  return [...pieces(text)].map((piece) => (piece.plain ? expand(piece.text, []) : piece.text)).join("");
}

const isPaper = (text: string) => /\\document(?:class|style)\b/.test(withoutComments(text));

function titleOf(text: string): string {
  const match = /\\(?:title|icmltitle)\s*(?:\[[^\]]{0,300}\])?\s*(?=\{)/.exec(text);
  const group = match && groupAt(text, match.index + match[0].length);
  if (!group) return "";
  return group.inner
    .replace(/\\(?:thanks|footnote|vspace|hspace)\s*\{[^{}]*\}/g, "")
    .replace(/\\\\(?:\[[^\]]*\])?|~/g, " ")
    .replace(/\\(?:bf|it|rm|sc|Large|LARGE|huge|Huge|large|boldmath|textbf|textsc|textit)(?![a-zA-Z])/g, "")
    .replace(/[{}]/g, "")
    .replace(/\s+/g, " ")
    .trim();
}

/** The body of a text whose files are in their places. */
function bodyOf(whole: string, maxChars: number): string {
  const { macros, rest: text } = takeMacros(whole);
  const begin = /\\begin\s*\{document\}/.exec(text);
  const start = begin ? begin.index + begin[0].length : 0;
  const end = begin ? text.indexOf("\\end{document}", start) : -1;
  const body = withoutEnvironment(text.slice(start, end < 0 ? undefined : end), "thebibliography").replace(
    /\\(?:bibliography|bibliographystyle|addbibresource)\s*\{[^{}]*\}|\\(?:maketitle|printbibliography)(?![a-zA-Z])/g,
    "",
  );
  return written(body, macros, maxChars)
    .split("\n")
    .map((line) => line.trimEnd())
    .join("\n")
    .replace(/\n{3,}/g, "\n\n")
    .trim();
}

export interface TexDocument {
  path: string;
  title: string;
  text: string;
}

/** The documents of a submission: its papers, or each file where none of them is one. Work and output are bounded by `maxChars`. */
export function texDocuments(files: TexFiles, maxChars: number): TexDocument[] {
  const papers = [...files.keys()].filter((path) => isPaper(files.get(path)!));
  const included = new Set<string>();
  const documents = (papers.length > 0 ? papers : [...files.keys()]).map((path) => {
    const inclusion = new Inclusion(files, maxChars);
    const text = inclusion.text(path, posix.dirname(path));
    for (const used of inclusion.used) if (used !== path) included.add(used);
    return { path, title: titleOf(text), text: bodyOf(text, maxChars) };
  });
  // A paper within a paper (subfiles) is a part of it.
  return documents.filter(({ path, text }) => !included.has(path) && text !== "");
}
