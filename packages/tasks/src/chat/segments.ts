// A conversation as tokens with and without loss: only what the assistant says is learned.
import { NsaError } from "@nsa/core";
import type { Tokenizer } from "@nsa/data";
import type { ChatMessage, ChatTemplate } from "./template.ts";
import { type EncodedAnswer, encodeAnswer } from "./tool-output.ts";

export interface Segment {
  text: string;
  /** Whether the model should learn to write it. */
  learned: boolean;
}

/**
 * Alternating segments whose texts join to the rendered conversation. Cuts lie where generation would begin, so the
 * tokens before a cut are the ones a server would send. Throws NsaError `chat_template_unstable` (exit 2) when the
 * template writes earlier turns in another way once later ones follow.
 */
export function segmentsOf(
  template: ChatTemplate,
  messages: readonly ChatMessage[],
  place: string,
): Segment[] {
  const segments: Segment[] = [];
  let done = "";
  const advance = (to: string, learned: boolean) => {
    if (!to.startsWith(done)) {
      throw new NsaError({
        code: "chat_template_unstable",
        what: `${place}: the chat template rewrites earlier turns`,
        why: "a longer conversation does not begin as its shorter one, so turns cannot be told apart",
        fix: "use another template, or one conversation per assistant turn",
        exitCode: 2,
      });
    }
    if (to.length > done.length) segments.push({ text: to.slice(done.length), learned });
    done = to;
  };
  messages.forEach(({ role }, i) => {
    if (role !== "assistant") return;
    advance(template.render(messages.slice(0, i), true), false);
    advance(template.render(messages.slice(0, i + 1), false), true);
  });
  return segments;
}

/**
 * Ids of the segments and whether each is learned; the end-of-text id closes the last learned segment. With `maskOutputs`,
 * what a tool wrote into a turn of the assistant is not.
 */
export function encodeSegments(
  tokenizer: Tokenizer,
  segments: readonly Segment[],
  maskOutputs = true,
): EncodedAnswer {
  const ids: number[] = [];
  const learned: number[] = [];
  let open = false;
  for (const segment of segments) {
    const own = encodeAnswer(tokenizer, segment.text);
    open ||= segment.learned && own.open;
    own.ids.forEach((id, i) => {
      ids.push(id);
      learned.push(segment.learned && (!maskOutputs || own.learned[i] === 1) ? 1 : 0);
    });
  }
  // A template may close its turns with an end of its own: any of them ends an output.
  if (segments.at(-1)?.learned && !tokenizer.isEnd(ids.at(-1) ?? -1)) {
    ids.push(tokenizer.eosId);
    learned.push(1);
  }
  return { ids: Int32Array.from(ids), learned: Uint8Array.from(learned), open };
}
