// What an HTML page says of its own encoding, by the HTML standard's rules: the prescan of the first 1,024 bytes, the XML
// declaration, and meta tags further on, which a parser obeys when it comes to them. Names are the encoding standard's.
import { labelToName } from "@exodus/bytes/encoding.js";

const PRESCAN_BYTES = 1024;
const SPACE = /[\t\n\f\r ]/;
/** Elements whose content is text to the parser: a meta tag in them is none. */
const RAW = new Set(["script", "style", "textarea", "title", "xmp", "iframe", "noembed", "noframes"]);

interface Attribute {
  name: string;
  value: string;
  /** Place after it. */
  at: number;
}

function skip(s: string, from: number, what: RegExp): number {
  let at = from;
  while (at < s.length && what.test(s[at]!)) at++;
  return at;
}

/** The standard's "get an attribute" at `from`; undefined at the tag's end, and where the bytes end (`at` past them). */
function attributeAt(s: string, from: number): Attribute | undefined {
  const start = skip(s, from, /[\t\n\f\r /]/);
  if (start >= s.length || s[start] === ">") return undefined;
  let at = start + 1;
  while (at < s.length && !/[\t\n\f\r />=]/.test(s[at]!)) at++;
  const name = s.slice(start, at).toLowerCase();
  if (s[at] === "/" || s[at] === ">") return { name, value: "", at };
  at = skip(s, at, SPACE);
  if (s[at] !== "=") return { name, value: "", at };
  at = skip(s, at + 1, SPACE);
  const quote = s[at];
  if (quote === '"' || quote === "'") {
    const end = s.indexOf(quote, at + 1);
    return end < 0 ? undefined : { name, value: s.slice(at + 1, end).toLowerCase(), at: end + 1 };
  }
  const value = at;
  while (at < s.length && !/[\t\n\f\r >]/.test(s[at]!)) at++;
  return { name, value: s.slice(value, at).toLowerCase(), at };
}

/** The encoding in the `content` of a meta tag, or of an HTTP header's parameter. */
function charsetIn(content: string): string | null {
  const found = /charset[\t\n\f\r ]*=[\t\n\f\r ]*/i.exec(content);
  if (!found) return null;
  const rest = content.slice(found.index + found[0].length);
  const value = /^(?:"([^"]*)"|'([^']*)'|([^"'\t\n\f\r ;][^\t\n\f\r ;]*))/.exec(rest);
  return value ? labelToName(value[1] ?? value[2] ?? value[3]!) : null;
}

/** What reads as ASCII cannot be UTF-16; the user-defined encoding is windows-1252 on the web. */
function believable(name: string | null): string | undefined {
  if (name === null) return undefined;
  if (/^utf-16/i.test(name)) return "UTF-8";
  return name === "x-user-defined" ? "windows-1252" : name;
}

/** Attributes of the tag at `from`, the first of each name; `at` is behind them. */
function attributesAt(s: string, from: number): { all: Map<string, string>; at: number } {
  const all = new Map<string, string>();
  let at = from;
  for (let a = attributeAt(s, at); a; a = attributeAt(s, at)) {
    if (!all.has(a.name)) all.set(a.name, a.value);
    at = a.at;
  }
  return { all, at };
}

/** Encoding that a meta tag with these attributes declares. */
function declared(all: Map<string, string>): string | undefined {
  const charset = all.get("charset");
  if (charset !== undefined) return believable(labelToName(charset));
  const content = all.get("content");
  if (content === undefined || all.get("http-equiv") !== "content-type") return undefined;
  return believable(charsetIn(content));
}

const META = /^<meta[\t\n\f\r /]/i;

/** The standard's prescan of a byte stream, over the bytes as latin1. */
function prescan(s: string): string | undefined {
  for (let i = s.indexOf("<"); i >= 0 && i < s.length; i = s.indexOf("<", i)) {
    if (s.startsWith("<!--", i)) {
      const end = s.indexOf("-->", i + 2);
      if (end < 0) return undefined;
      i = end + 3;
    } else if (META.test(s.slice(i, i + 6))) {
      const { all, at } = attributesAt(s, i + 5);
      if (s.indexOf(">", at) < 0 && at >= s.length) return undefined;
      const name = declared(all);
      if (name) return name;
      i = at;
    } else if (/^<\/?[a-z]/i.test(s.slice(i, i + 3))) {
      let at = i + 2;
      while (at < s.length && !/[\t\n\f\r >]/.test(s[at]!)) at++;
      i = attributesAt(s, at).at;
    } else if (/^<[!/?]/.test(s.slice(i, i + 2))) {
      const end = s.indexOf(">", i);
      if (end < 0) return undefined;
      i = end + 1;
    } else i++;
  }
  return undefined;
}

/** The encoding in `<?xml … encoding="…"?>` at the very start. */
function xmlDeclaration(s: string): string | undefined {
  if (!s.startsWith("<?xml")) return undefined;
  const end = s.indexOf(">");
  const label = /encoding[\0- ]*=[\0- ]*(?:"([^"\0- ]*)"|'([^'\0- ]*)')/.exec(s.slice(5, Math.max(5, end)));
  return label ? believable(labelToName(label[1] ?? label[2]!)) : undefined;
}

/** A meta tag anywhere, where a parser would see it as one. */
function laterMeta(s: string): string | undefined {
  const lower = s.toLowerCase();
  const tag = /<(?:!--|[a-z][^\t\n\f\r />]*)/g;
  for (let found = tag.exec(lower); found; found = tag.exec(lower)) {
    const name = found[0].slice(1);
    if (name === "!--") {
      const end = lower.indexOf("-->", found.index + 2);
      if (end < 0) return undefined;
      tag.lastIndex = end + 3;
      continue;
    }
    const { all, at } = attributesAt(s, tag.lastIndex);
    const encoding = name === "meta" ? declared(all) : undefined;
    if (encoding) return encoding;
    tag.lastIndex = at;
    if (!RAW.has(name)) continue;
    const end = lower.indexOf(`</${name}`, at);
    if (end < 0) return undefined;
    tag.lastIndex = end;
  }
  return undefined;
}

/** UTF-16 without a mark: every second byte of the first tag is zero. */
function unmarkedUtf16(bytes: Uint8Array): string | undefined {
  const head = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(256, bytes.length)).toString("latin1");
  if (/^(?:[\t\n\r ]\0)*<\0[!?/a-z]\0[!?/a-z-]\0/i.test(head)) return "UTF-16LE";
  return /^(?:\0[\t\n\r ])*\0<\0[!?/a-z]\0[!?/a-z-]/i.test(head) ? "UTF-16BE" : undefined;
}

/**
 * The encoding that a header states, as far as the bytes can be in it: UTF-16 of the other order is that, and what begins with a tag
 * in ASCII is none.
 */
export function possible(stated: string | undefined, bytes: Uint8Array): string | undefined {
  if (stated === undefined || !/^utf-16/i.test(stated)) return believable(stated ?? null);
  const seen = unmarkedUtf16(bytes);
  if (seen) return seen;
  const head = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(256, bytes.length)).toString("latin1");
  return /^[\t\n\f\r ]*<[!?/a-z][!-~]/i.test(head) ? undefined : stated;
}

/** Encoding that a page without a byte order mark and without a header declares, if it does. */
export function sniffHtml(bytes: Uint8Array): string | undefined {
  const utf16 = unmarkedUtf16(bytes);
  if (utf16) return utf16;
  const all = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const head = all.toString("latin1", 0, PRESCAN_BYTES);
  const early = prescan(head) ?? xmlDeclaration(head);
  if (early || bytes.length <= PRESCAN_BYTES) return early ?? laterMeta(head);
  return laterMeta(all.toString("latin1"));
}

/** Encoding named by the charset parameter of a Content-Type header. */
export function charsetOfHeader(contentType: string): string | undefined {
  // Headers that were sent twice are joined by a comma: the last type counts, with the charset of an equal one before it.
  let [type, found]: [string, string | undefined] = ["", undefined];
  for (const value of contentType.match(/(?:[^,"]|"(?:[^"\\]|\\.)*"?)+/g) ?? []) {
    const own = /^[^;]*/.exec(value)![0].trim().toLowerCase();
    if (own === "") continue;
    const stated = charsetOf(value);
    if (own !== type || stated !== undefined) found = stated;
    type = own;
  }
  return found;
}

/** The first charset that is not empty; a blank in place of the semicolon is a slip that servers make. */
function charsetOf(contentType: string): string | undefined {
  // Parameters are apart by semicolons; one may be quoted.
  for (const [, name, quoted, bare] of contentType.matchAll(
    /(?:;[\t\n\r ]*|(?<=^[^;]*)[\t ]+(?=charset=))([^\s=;]+)[\t ]*=[\t ]*(?:"((?:[^"\\]|\\.)*)"?|([^;]*))/g,
  )) {
    if (name!.toLowerCase() !== "charset") continue;
    const label = (quoted ?? bare!).trim().replace(/^'(.*)'$/, "$1");
    if (label === "" && quoted === undefined) continue;
    return labelToName(label) ?? undefined;
  }
  return undefined;
}
