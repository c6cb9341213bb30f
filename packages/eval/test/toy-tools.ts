// A table of a model that calls a calculator by fences, and a tokenizer of whole pieces, for tests of trajectories.
import type { Tokenizer } from "@nsa/data";
import type { Environment } from "@nsa/tasks";

/** Piece 0 ends a text; the calculator is called with 1+1 or 2*3, and may be called again. */
export const pieces = [
  "<end>",
  "so ",
  "```calculator\n1+1\n```\n",
  "```calculator\n2*3\n```\n",
  "```output",
  "\n",
  "2",
  "6",
  "\n```\n",
  "q",
  "```calculator\n1/0\n```\n",
  "?",
];
const [END, SO, ONE, TWO, OUTPUT, CLOSE, Q, BAD] = [0, 1, 2, 3, 4, 8, 9, 10];

const row = (entries: Record<number, number>) =>
  pieces.map((_, i) => {
    const rest = 1 - Object.values(entries).reduce((a, b) => a + b, 0);
    const others = pieces.length - Object.keys(entries).length;
    return entries[i] ?? rest / others;
  });

/** p(next | piece): a call follows words, an output a call; words, another call or the end follow a result. */
export const table = pieces.map((_, i) => {
  if (i === Q || i === CLOSE) return row({ [SO]: 0.4, [ONE]: 0.2, [TWO]: 0.15, [END]: 0.2 });
  if (i === SO) return row({ [ONE]: 0.35, [TWO]: 0.35, [BAD]: 0.1, [SO]: 0.1, [END]: 0.05 });
  if (i === ONE || i === TWO || i === BAD) return row({ [OUTPUT]: 0.9, [SO]: 0.05 });
  return row({ [END]: 0.3, [SO]: 0.6 });
});

/** Longest pieces first; what is none of them is `?`. */
function encode(text: string): number[] {
  const ids: number[] = [];
  const byLength = pieces.map((_, i) => i).sort((a, b) => pieces[b]!.length - pieces[a]!.length);
  for (let at = 0; at < text.length; ) {
    const id = byLength.find((i) => i !== END && text.startsWith(pieces[i]!, at)) ?? 11;
    ids.push(id);
    at += pieces[id]!.length;
  }
  return ids;
}

export const tokenizer = {
  encode,
  decode: (ids: Iterable<number>) => Array.from(ids, (id) => (id === END ? "" : pieces[id]!)).join(""),
  eosIds: [END],
  eosId: END,
  isSpecial: (id: number) => id === END,
  isEnd: (id: number) => id === END,
} as unknown as Tokenizer;

/** The environment with a pause before each result. */
export const delayed = (environment: Environment, pause: () => Promise<void>): Environment => ({
  ...environment,
  step: async (state, call) => {
    await pause();
    return await environment.step(state, call);
  },
});
