// Text in an assistant's answer that the assistant did not write: what an interpreter or a tool put there. It is read and
// never learned; a model that learns it makes outputs up instead of waiting for them.
//
// Between fences, ```output, the protocol stops the model at the opening fence (protocol/run.ts) and writes the rest: the
// fence is the model's, everything behind it up to and with the line of the closing fence is not. Between tags,
// <tool_response> … </tool_response>, the tags are the template's, too. An output that never ends lasts to the end.
import type { Tokenizer } from "@nsa/data";

export interface Span {
  start: number;
  end: number;
}

const outputFence =
  /(`{3,}|~{3,})[ \t]*(?:output|outputs|stdout|stderr|tool_output|execution_output)(?![\w-])/gi;
const outputTag = /<(tool_response|tool_output|tool_result|interpreter)>/g;

/** End of the fenced block whose text begins at `from`: behind the line of its closing fence. */
function fenceEnd(text: string, from: number, fence: string): number {
  const closing = new RegExp(`^ {0,3}\\${fence[0]}{${fence.length},}[ \\t]*\\r?$`, "gm");
  closing.lastIndex = from;
  const match = closing.exec(text);
  if (!match) return text.length;
  const end = match.index + match[0].length;
  return text[end] === "\n" ? end + 1 : end;
}

/** Places of the outputs in an answer, in order and apart. */
export function toolOutputs(text: string): Span[] {
  const spans: Span[] = [];
  const openings = [...text.matchAll(outputFence), ...text.matchAll(outputTag)];
  for (const match of openings.sort((a, b) => a.index - b.index)) {
    // An opening inside an output is part of it.
    if (match.index < (spans.at(-1)?.end ?? 0)) continue;
    const behind = match.index + match[0].length;
    if (!match[0].startsWith("<")) {
      spans.push({ start: behind, end: fenceEnd(text, behind, match[1]!) });
      continue;
    }
    const close = `</${match[1]}>`;
    const at = text.indexOf(close, behind);
    spans.push({ start: match.index, end: at < 0 ? text.length : at + close.length });
  }
  return spans;
}

/** Number of ids that begin before a place of the text; the id across the place begins before it. */
function idsBefore(tokenizer: Tokenizer, text: string, ids: Int32Array, place: number): number {
  if (place >= text.length) return ids.length;
  const head = tokenizer.encodeIds(text.slice(0, place));
  let same = 0;
  while (same < head.length && head[same] === ids[same]) same++;
  return same < head.length ? Math.min(ids.length, same + 1) : same;
}

/** Ids of an answer, and whether each is learned: all but those that begin inside an output. */
export function encodeAnswer(tokenizer: Tokenizer, text: string): { ids: Int32Array; learned: Uint8Array } {
  const ids = tokenizer.encodeIds(text);
  const learned = new Uint8Array(ids.length).fill(1);
  for (const { start, end } of toolOutputs(text)) {
    learned.fill(0, idsBefore(tokenizer, text, ids, start), idsBefore(tokenizer, text, ids, end));
  }
  return { ids, learned };
}
