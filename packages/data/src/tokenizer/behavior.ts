// How a text is cut at matches, as Rust's tokenizers cut it: what becomes of the matches, and of what lies between them.
import { NsaError } from "@nsa/core";

export const BEHAVIORS = [
  "Isolated",
  "Removed",
  "Contiguous",
  "MergedWithPrevious",
  "MergedWithNext",
] as const;
export type Behavior = (typeof BEHAVIORS)[number];

/** Throws NsaError `tokenizer_unsupported` (exit 4) for a behavior that Rust's tokenizers do not have. */
export function behaviorOf(name: string | undefined, otherwise: Behavior = "Isolated"): Behavior {
  const found = BEHAVIORS.find((one) => one === (name ?? otherwise));
  if (found) return found;
  throw new NsaError({
    code: "tokenizer_unsupported",
    what: `a pre-tokenizer with the behavior ${name}`,
    why: `${BEHAVIORS.join(", ")} are served`,
    fix: "use a tokenizer.json that Rust's tokenizers read",
    exitCode: 4,
  });
}

interface Piece {
  text: string;
  match: boolean;
}

/** Matches and what lies between them, in order, none empty. `invert` exchanges the two. */
function piecesOf(text: string, pattern: RegExp, invert: boolean): Piece[] {
  const pieces: Piece[] = [];
  let last = 0;
  const add = (end: number, match: boolean) => {
    if (end > last) pieces.push({ text: text.slice(last, end), match: match !== invert });
    last = end;
  };
  for (const match of text.matchAll(pattern)) {
    add(match.index, false);
    add(match.index + match[0].length, true);
  }
  add(text.length, false);
  return pieces;
}

/** Pieces in which each run is joined as `joins` says of a piece and the one before it. */
function joined(pieces: readonly Piece[], joins: (before: Piece, piece: Piece) => boolean): string[] {
  const texts: string[] = [];
  pieces.forEach((piece, i) => {
    if (i > 0 && joins(pieces[i - 1]!, piece)) texts.push(texts.pop()! + piece.text);
    else texts.push(piece.text);
  });
  return texts;
}

/** Cuts a text at the matches of a global expression. */
export function cutAt(text: string, pattern: RegExp, behavior: Behavior, invert = false): string[] {
  const pieces = piecesOf(text, pattern, invert);
  switch (behavior) {
    case "Isolated":
      return pieces.map((p) => p.text);
    case "Removed":
      return pieces.flatMap((p) => (p.match ? [] : [p.text]));
    case "Contiguous":
      return joined(pieces, (before, piece) => before.match === piece.match);
    // A match joins its neighbour unless that is a match itself.
    case "MergedWithPrevious":
      return joined(pieces, (before, piece) => piece.match && !before.match);
    case "MergedWithNext":
      return joined(pieces, (before, piece) => before.match && !piece.match);
  }
}
