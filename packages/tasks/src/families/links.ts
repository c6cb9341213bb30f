// Links: a number leads to another one by a table that nobody can compute, only look up with the tool `lookup`. Where a chain of two or
// more leads is found by as many calls, each with what the one before gave.
import type { FamilyDefinition } from "./definition.ts";

/** Entries of the table: numbers of four digits. */
const SIZE = 10_000;

/** What a number leads to: a mixing function with constants of its own, so that no pattern of digits helps. */
export function linkOf(key: string): string {
  let h = Math.imul(Number(key) + 0x9e37, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  h ^= h >>> 16;
  return String((h >>> 0) % SIZE).padStart(4, "0");
}

/** The numbers behind a question: 0042>> leads to two of them. */
function chainOf(question: string): string[] {
  const [, start, arrows] = /(\d{4})(>+)/.exec(question)!;
  const chain: string[] = [];
  for (let at = start!; chain.length < arrows!.length; chain.push(at)) at = linkOf(at);
  return chain;
}

/** `difficulty` links: `0042>>` asks where 0042 leads in two steps. A slip of its calls leaves the last one out. */
export const links: FamilyDefinition = {
  name: "links",
  difficulty: "links",
  answerForm: "number",
  draw: (int, count) => {
    const question = `${String(int(SIZE)).padStart(4, "0")}${">".repeat(count)}`;
    return { question, answer: chainOf(question).at(-1)! };
  },
  keyOf: (question) => question,
  working: ({ question, answer }, int, slip) => {
    const answered = slip ? String(int(SIZE)).padStart(4, "0") : answer;
    return { text: `${question}=${answered}`, answer: answered };
  },
  calls: ({ question }, _, slip) => {
    const chain = chainOf(question);
    const keys = [question.slice(0, 4), ...chain.slice(0, -1)];
    const calls = keys.map((text, i) => ({ tool: "lookup", text, output: chain[i]! }));
    return slip && calls.length > 1 ? calls.slice(0, -1) : calls;
  },
};
