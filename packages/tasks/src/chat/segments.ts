// A conversation as tokens with and without loss: only what the assistant says is learned, each turn as the template writes it when
// it is the last one.
import { NsaError } from "@nsa/core";
import type { Tokenizer } from "@nsa/data";
import type { ChatMessage } from "./messages.ts";
import type { ChatTemplate } from "./template.ts";
import { type EncodedAnswer, encodeAnswer } from "./tool-output.ts";

export interface Segment {
  text: string;
  /** Whether the model should learn to write it. */
  learned: boolean;
  /** The number of the message that a learned segment is. */
  turn?: number;
}

/** Stands in for the content of a turn to find its place. */
const MARK = "turn8f1c6a";

function sharedLength(a: string, b: string): number {
  let i = 0;
  while (i < a.length && a[i] === b[i]) i++;
  return i;
}

/** The rendering whose last message is the `i`-th, and where the assistant's part of it begins. */
function lastTurn(
  template: ChatTemplate,
  messages: readonly ChatMessage[],
  i: number,
  options: { place: string; tools: readonly unknown[] },
): { text: string; from: number } {
  const { place, tools } = options;
  const before = messages.slice(0, i);
  const prompt = template.render(before, true, tools);
  const text = template.render(messages.slice(0, i + 1), false, tools);
  // Generation would begin behind the prompt.
  if (text.startsWith(prompt)) return { text, from: prompt.length };
  // The prompt opens something, a thought for one, that the finished turn does not have: the turn begins where they part.
  const history = i === 0 ? "" : template.render(before, false, tools);
  const from = sharedLength(prompt, text);
  if (text.startsWith(history) && from > history.length) return { text, from };
  // The template writes the history in another way once the turn follows: the turn's content shows its place.
  const marked = template.render([...before, { ...messages[i]!, content: MARK }], false, tools);
  const at = marked.indexOf(MARK);
  if (at >= 0 && at === marked.lastIndexOf(MARK) && text.startsWith(marked.slice(0, at)))
    return { text, from: at };
  throw new NsaError({
    code: "chat_refused",
    what: `${place}: turn ${i + 1} cannot be found in what the chat template writes`,
    why: "neither the prompt before it nor the place of its content shows where it begins",
    fix: "use another template, or one conversation per assistant turn",
    exitCode: 2,
  });
}

/**
 * The conversation as chains of alternating segments. The texts of a chain join to the rendering whose last turn is the chain's
 * last. A template that only appends gives one chain; one that writes earlier turns in another way once later ones follow begins
 * a new chain there, in which the turns before are read and not learned again. Cuts lie where generation would begin, so that the
 * tokens before a cut are the ones a server would send. Throws NsaError `chat_refused` (exit 2) where a turn cannot be rendered
 * or found.
 */
export function chainsOf(
  template: ChatTemplate,
  messages: readonly ChatMessage[],
  place: string,
  tools: readonly unknown[] = [],
): Segment[][] {
  const chains: Segment[][] = [];
  let done = "";
  messages.forEach(({ role }, i) => {
    if (role !== "assistant") return;
    const { text, from } = lastTurn(template, messages, i, { place, tools });
    if (chains.length === 0 || from < done.length || !text.startsWith(done)) {
      chains.push([]);
      done = "";
    }
    const chain = chains.at(-1)!;
    if (from > done.length) chain.push({ text: text.slice(done.length, from), learned: false });
    if (text.length > from) chain.push({ text: text.slice(from), learned: true, turn: i });
    done = text;
  });
  return chains;
}

/**
 * Ids of the segments and whether each is learned; the end-of-text id closes the last learned segment. With `maskOutputs`,
 * what a tool wrote into a turn of the assistant is not. `inner`: the segments continue others.
 */
export function encodeSegments(
  tokenizer: Tokenizer,
  segments: readonly Segment[],
  { maskOutputs = true, inner = false }: { maskOutputs?: boolean; inner?: boolean } = {},
): EncodedAnswer {
  const ids: number[] = [];
  const learned: number[] = [];
  let open = false;
  for (const [n, segment] of segments.entries()) {
    const own = encodeAnswer(tokenizer, segment.text, inner || n > 0);
    open ||= segment.learned && own.open;
    // What is put in front of a text is not written by the assistant.
    const { before } = tokenizer.frame;
    const front = n === 0 && !inner && before.every((id, i) => own.ids[i] === id) ? before.length : 0;
    own.ids.forEach((id, i) => {
      ids.push(id);
      const masked = i < front || (maskOutputs && own.learned[i] !== 1);
      learned.push(segment.learned && !masked ? 1 : 0);
    });
  }
  // A template may close its turns with an end of its own: any of them ends an output.
  if (segments.at(-1)?.learned && !tokenizer.isEnd(ids.at(-1) ?? -1)) {
    ids.push(tokenizer.eosId);
    learned.push(1);
  }
  return { ids: Int32Array.from(ids), learned: Uint8Array.from(learned), open };
}
