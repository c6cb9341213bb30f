// Where a Jinja template is wrong: its parser tells what, this finds the tag, and so line and column.
import { Template } from "@huggingface/jinja";

interface Tag {
  /** Source with its delimiters. */
  text: string;
  at: number;
  /** First word of a statement, nothing for an expression. */
  word: string;
}

const CLOSED_BY: Record<string, string> = {
  if: "endif",
  for: "endfor",
  macro: "endmacro",
  call: "endcall",
  filter: "endfilter",
  generation: "endgeneration",
};
const INNER: Record<string, readonly string[]> = { if: ["elif", "else"], for: ["else"] };

/** Tags in order; the last may lack its end. */
function tagsOf(source: string): Tag[] {
  const tags: Tag[] = [];
  const opening = /\{[%{#]/g;
  for (let open = opening.exec(source); open; open = opening.exec(source)) {
    const close = { "{%": "%}", "{{": "}}", "{#": "#}" }[open[0]]!;
    const end = endOf(source, open.index + 2, close);
    const text = source.slice(open.index, end);
    const word = open[0] === "{%" ? (/^\{%-?\s*(\w+)/.exec(text)?.[1] ?? "") : "";
    if (open[0] !== "{#") tags.push({ text, at: open.index, word });
    opening.lastIndex = end;
  }
  return tags;
}

/** Index after the closing delimiter, which does not count inside a string. */
function endOf(source: string, from: number, close: string): number {
  let quote = "";
  for (let i = from; i < source.length; i++) {
    const c = source[i]!;
    if (quote !== "") {
      if (c === "\\") i++;
      else if (c === quote) quote = "";
    } else if (close !== "#}" && (c === "'" || c === '"')) quote = c;
    else if (source.startsWith(close, i)) return i + close.length;
  }
  return source.length;
}

/** The tag as a template of its own. */
function alone({ text, word }: Tag): string {
  if (word === "elif") return `${text.replace("elif", "if")}{% endif %}`;
  if (word === "else" || word.startsWith("end")) return "";
  if (word === "set" && !text.includes("=")) return `${text}{% endset %}`;
  if (word === "break" || word === "continue") return `{% for x in y %}${text}{% endfor %}`;
  return CLOSED_BY[word] ? `${text}{% ${CLOSED_BY[word]} %}` : text;
}

function parses(source: string): boolean {
  try {
    new Template(source);
    return true;
  } catch {
    return false;
  }
}

/** The first tag that is wrong in itself or does not belong where it stands; an unclosed block if there is one. */
function wrongTag(source: string): Tag | undefined {
  const open: Tag[] = [];
  for (const tag of tagsOf(source)) {
    const top = open.at(-1);
    if (!parses(alone(tag))) return tag;
    if (tag.word === "set" && !tag.text.includes("=")) open.push(tag);
    else if (CLOSED_BY[tag.word]) open.push(tag);
    else if (tag.word.startsWith("end")) {
      const wanted = top && (top.word === "set" ? "endset" : CLOSED_BY[top.word]);
      if (wanted !== tag.word) return tag;
      open.pop();
    } else if (tag.word === "elif" || tag.word === "else") {
      if (!(top && INNER[top.word]?.includes(tag.word))) return tag;
    }
  }
  return open.at(-1);
}

/** Line and column, from 1, of the mistake in a template that does not parse, with the tag's text. */
export function locateMistake(source: string): { line: number; column: number; tag: string } {
  const tag = wrongTag(source) ?? { text: "", at: 0 };
  const before = source.slice(0, tag.at).split("\n");
  return { line: before.length, column: before.at(-1)!.length + 1, tag: tag.text };
}
