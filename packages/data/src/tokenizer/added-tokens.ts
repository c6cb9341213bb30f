// Added tokens: found in the text before anything else, by the rules of Hugging Face's tokenizers.
//
// Tokens with `normalized: false` are found in the text as it is, the others in what the normalizer makes of the rest. The longest
// match wins. Texts are cut at the former before the latter are looked for, so that a cut ends a word. `single_word` takes no match beside a word character, `lstrip` and `rstrip` take the white space beside it along.

export interface AddedToken {
  id: number;
  content: string;
  special?: boolean;
  lstrip?: boolean;
  rstrip?: boolean;
  single_word?: boolean;
  normalized?: boolean;
}

/** A part of a text: an id, or normalized text that lies between ids. */
export type TextPart = number | string;

const WORD_BEFORE = /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]$/u;
const WORD_BEHIND = /^[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]/u;
const BLANKS_BEFORE = /\p{White_Space}*$/u;
const BLANKS_BEHIND = /^\p{White_Space}*/u;

const literal = (s: string) => s.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

/** Finds some of the tokens. */
class Finder {
  private readonly byText: ReadonlyMap<string, AddedToken>;
  private readonly pattern: RegExp;

  constructor(tokens: readonly (readonly [string, AddedToken])[]) {
    // Of tokens that the normalizer makes one, the first counts.
    this.byText = new Map(tokens.toReversed());
    const longest = [...this.byText.keys()].sort((a, b) => b.length - a.length);
    this.pattern = new RegExp(longest.map(literal).join("|"), "g");
  }

  /** Ids, and the texts between them that are not empty, in order. */
  split(text: string): TextPart[] {
    const parts: TextPart[] = [];
    let done = 0;
    for (const match of text.matchAll(this.pattern)) {
      const token = this.byText.get(match[0])!;
      let start = match.index;
      let end = start + match[0].length;
      if (token.single_word && beside(text, start, end)) continue;
      // The blanks that a token before took along may be the head of this one: it is found all the same.
      if (token.lstrip && start > done) start -= BLANKS_BEFORE.exec(text.slice(done, start))![0].length;
      if (token.rstrip) end += BLANKS_BEHIND.exec(text.slice(end))![0].length;
      if (start > done) parts.push(text.slice(done, start));
      parts.push(token.id);
      done = end;
    }
    if (done < text.length) parts.push(text.slice(done));
    return parts;
  }
}

/** Whether a word character lies directly before or behind. */
function beside(text: string, start: number, end: number): boolean {
  return (
    WORD_BEFORE.test(text.slice(Math.max(0, start - 2), start)) || WORD_BEHIND.test(text.slice(end, end + 2))
  );
}

export class AddedTokens {
  private readonly raw: Finder | undefined;
  private readonly normal: Finder | undefined;

  constructor(
    tokens: readonly AddedToken[],
    private readonly normalize: ((text: string, inner?: boolean) => string) | undefined,
  ) {
    const late = (t: AddedToken) => t.normalized ?? t.special === false;
    const finder = (of: readonly AddedToken[], change: (text: string) => string) => {
      const entries = of.map((t) => [change(t.content), t] as const).filter(([text]) => text !== "");
      return entries.length > 0 ? new Finder(entries) : undefined;
    };
    this.raw = finder(
      tokens.filter((t) => !late(t)),
      (text) => text,
    );
    this.normal = finder(tokens.filter(late), normalize ?? ((text) => text));
  }

  /** The text as ids and normalized texts between them. With `plain`, no added token is looked for; `inner` as in encoding. */
  split(
    text: string,
    { plain = false, inner = false }: { plain?: boolean; inner?: boolean } = {},
  ): TextPart[] {
    const { normalize } = this;
    const parts = plain || !this.raw ? (text === "" ? [] : [text]) : this.raw.split(text);
    return parts.flatMap((part): TextPart[] => {
      if (typeof part === "number") return [part];
      const normal = normalize ? normalize(part, inner) : part;
      if (plain || !this.normal) return normal === "" ? [] : [normal];
      return this.normal.split(normal);
    });
  }
}
