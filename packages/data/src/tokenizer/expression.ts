// Expressions of tokenizer.json, which are Oniguruma's, as RegExp. The library translates them; what its translation does not keep
// exactly is refused here by its name.
import * as library from "@huggingface/tokenizers";
import { NsaError } from "@nsa/core";

// The library's types leave its parts out.
const { SplitPreTokenizer } = library as unknown as {
  SplitPreTokenizer: new (config: object) => { pattern: RegExp };
};

function unsupported(source: string, what: string, cause?: unknown): NsaError {
  return new NsaError({
    code: "tokenizer_expression_unsupported",
    what: `${what} in the expression ${source}`,
    why: "its translation to JavaScript would match otherwise",
    fix: "use a tokenizer.json whose expressions have none",
    exitCode: 4,
    cause,
  });
}

/** Constructs of Oniguruma that have no translation, outside classes. */
const REFUSED: [RegExp, string][] = [
  [/^\\[RXKGgk]/, "an escape"],
  [/^\\[1-9]/, "a reference to a group"],
  [/^\(\?>/, "an atomic group"],
  [/^\(\?(?!i:|:|=|!|<[=!]|<[A-Za-z_]\w*>)/, "an option or a kind of group"],
  [/^(?:[*+?]|\{\d*,?\d*\})(?=\+)\+/, "a possessive quantifier"],
];

/** Throws NsaError `tokenizer_expression_unsupported` (exit 4) for what would be translated to something else. */
function checkExpression(source: string): void {
  let depth = 0;
  for (let i = 0; i < source.length; i++) {
    const rest = source.slice(i, i + 40);
    if (depth === 0) {
      for (const [construct, name] of REFUSED) {
        const match = construct.exec(rest);
        // Behind braces, a plus repeats in Oniguruma.
        if (match && !match[0].startsWith("{")) throw unsupported(source, `${name}, ${match[0]},`);
      }
    }
    const c = source[i];
    if (c === "\\") i++;
    else if (c === "[" && !(depth > 0 && source[i + 1] === ":")) depth++;
    else if (c === "]" && depth > 0 && source[i - 1] !== ":") depth--;
  }
}

/** A repeated group of which one alternative is a repeated thing alone, as in (a+)+; classes and escapes are one letter by then. */
const NESTED = /\((?:\?:)?(?:[^()]*\|)?[^()|*+?{}](?:[*+]|\{\d+,\})\??(?:\|[^()]*)?\)(?:[*+]|\{\d*,\})/;

/** Throws where a text of forty letters that does not match would take years: each can be split in two ways. */
function checkRepeats(source: string): void {
  const plain = source
    .replace(/\\(?:[pP]\{[^}]*\}|x\{?[0-9a-fA-F]+\}?|.)/gs, "e")
    .replace(/\[(?:[^\]e]|e)*\]/g, "c");
  const nested = NESTED.exec(plain);
  if (!nested) return;
  throw new NsaError({
    code: "tokenizer_expression_unsupported",
    what: `a repeat in a repeat, like ${nested[0]}, in the expression ${source.slice(0, 200)}`,
    why: "finding that a text does not match would take a time that doubles with each letter",
    fix: "use a tokenizer.json whose expressions have none",
    exitCode: 4,
  });
}

/** An expression of a tokenizer as RegExp. Throws NsaError `tokenizer_expression_unsupported` (exit 4). */
export function toRegExp(source: string): RegExp {
  checkExpression(source);
  checkRepeats(source);
  try {
    const split = new SplitPreTokenizer({
      type: "Split",
      pattern: { Regex: source },
      behavior: "Isolated",
      invert: false,
    });
    return split.pattern;
  } catch (cause) {
    throw unsupported(source, "something", cause);
  }
}

/** Checks every expression of a tokenizer.json. Throws as {@link toRegExp}. */
export function checkExpressions(json: Record<string, unknown>): void {
  const visit = (part: unknown): void => {
    if (typeof part !== "object" || part === null) return;
    const { Regex } = part as { Regex?: unknown };
    if (typeof Regex === "string") toRegExp(Regex);
    for (const inner of Object.values(part)) visit(inner);
  };
  for (const name of ["normalizer", "pre_tokenizer", "decoder"]) visit(json[name]);
}
