// Text in an assistant's answer that the assistant did not write: what an interpreter or a tool put there. It is read and
// never learned; a model that learns it makes outputs up instead of waiting for them.
//
// Between fences, ```output, the protocol stops the model at the opening fence (protocol/run.ts) and writes the rest: the
// fence is the model's, everything behind it up to and with the line of the closing fence is not. Between tags,
// <tool_response> … </tool_response>, the tags are the template's, too. An output that never ends lasts to the end; a fence
// or tag that is only mentioned, in a sentence or in a string of a program, opens none.
import type { Tokenizer } from "@nsa/data";

export interface Span {
  start: number;
  end: number;
  /** It has no end, and lasts to the end of the text. */
  open?: true;
}

const names = "(?:output|outputs|stdout|stderr|tool_output|execution_output)";
/** An opening fence that is a line of its own, indented or quoted if it likes. */
const outputLine = new RegExp(`^([ \\t>]*)(\`{3,}|~{3,})[ \\t]*${names}(?=[ \\t]*\\r?$)`, "i");
/** An opening fence behind words of its line. */
const outputInLine = new RegExp(`(\`{3,}|~{3,})[ \\t]*${names}(?=[ \\t]*\\r?$)`, "i");
const otherFence = /^[ \t>]*(`{3,}|~{3,})(.*)$/;
const outputTag = /<(tool_response|tool_output|tool_result|interpreter)>/g;

/** A fenced block that is no output, while it is open. */
interface Block {
  sign: string;
  length: number;
}

/** End of the block whose opening fence ends at `from`: behind the line of its closing fence. */
function fenceEnd(text: string, from: number, fence: string, prefix: string): number | undefined {
  const indent = prefix.includes(">") ? "[ \\t>]*" : prefix === "" ? " {0,3}" : "[ \\t]*";
  const closing = new RegExp(`^${indent}\\${fence[0]}{${fence.length},}[ \\t]*\\r?$`, "gm");
  closing.lastIndex = from;
  const match = closing.exec(text);
  if (!match) return undefined;
  const end = match.index + match[0].length;
  return text[end] === "\n" ? end + 1 : end;
}

/** The output that a tag of the line opens. A tag inside a sentence without its end is only mentioned. */
function taggedOutput(text: string, from: number, line: string): Span | undefined {
  for (const match of line.matchAll(outputTag)) {
    const start = from + match.index;
    const behind = start + match[0].length;
    const close = `</${match[1]}>`;
    const at = text.indexOf(close, behind);
    const again = text.indexOf(match[0], behind);
    const first = line.slice(0, match.index).trim() === "";
    if (at >= 0 && (first || again < 0 || again > at)) return { start, end: at + close.length };
    if (at < 0 && first) return { start, end: text.length, open: true };
  }
  return undefined;
}

/**
 * The output that a fence of the line opens. Inside another block it has to be a line of its own, by fences as long as the
 * block's, which it ends, as the protocol reads programs.
 */
function fencedOutput(text: string, from: number, line: string, block: Block | undefined): Span | undefined {
  const own = outputLine.exec(line);
  if (own) {
    const [whole, prefix, fence] = [own[0], own[1]!, own[2]!];
    if (block && (block.sign !== fence[0] || block.length > fence.length)) return undefined;
    const start = from + whole.length;
    const end = fenceEnd(text, start, fence, prefix);
    return end === undefined ? { start, end: text.length, open: true } : { start, end };
  }
  const inLine = block ? null : outputInLine.exec(line);
  if (!inLine) return undefined;
  const start = from + inLine.index + inLine[0].length;
  const end = fenceEnd(text, start, inLine[1]!, "");
  return end === undefined ? undefined : { start, end };
}

function blockAfter(line: string, block: Block | undefined): Block | undefined {
  const match = otherFence.exec(line);
  if (!match) return block;
  const [fence, info] = [match[1]!, match[2]!];
  if (!block) return info.includes("`") ? undefined : { sign: fence[0]!, length: fence.length };
  const closes = fence[0] === block.sign && fence.length >= block.length && info.trim() === "";
  return closes ? undefined : block;
}

/** Places of the outputs in an answer, in order and apart. */
export function toolOutputs(text: string): Span[] {
  const spans: Span[] = [];
  let block: Block | undefined;
  for (let at = 0; at < text.length; ) {
    const newline = text.indexOf("\n", at);
    const lineEnd = newline < 0 ? text.length : newline;
    const line = text.slice(at, lineEnd);
    const [tagged, fenced] = [
      block ? undefined : taggedOutput(text, at, line),
      fencedOutput(text, at, line, block),
    ];
    const span = tagged && fenced ? (tagged.start < fenced.start ? tagged : fenced) : (tagged ?? fenced);
    if (span) {
      spans.push(span);
      if (span === fenced) block = undefined;
      at = span.end;
    } else {
      block = blockAfter(line, block);
      at = lineEnd + 1;
    }
  }
  return spans;
}

/** Number of ids that begin before a place of the text; the id across the place begins before it. */
function idsBefore(
  tokenizer: Tokenizer,
  text: string,
  ids: Int32Array,
  { place, inner }: { place: number; inner: boolean },
): number {
  if (place >= text.length) return ids.length;
  const head = tokenizer.encodeIds(text.slice(0, place), { inner });
  let same = 0;
  while (same < head.length && head[same] === ids[same]) same++;
  return same < head.length ? Math.min(ids.length, same + 1) : same;
}

export interface EncodedAnswer {
  ids: Int32Array;
  /** 1 for every id that is learned: all but those that begin inside an output. */
  learned: Uint8Array;
  /** Whether an output has no end, so that nothing behind its opening is learned. */
  open: boolean;
}

/** Ids of an answer, and which of them are learned. It continues a prompt, or with `inner: false` begins a text. */
export function encodeAnswer(tokenizer: Tokenizer, text: string, inner = true): EncodedAnswer {
  const ids = tokenizer.encodeIds(text, { inner });
  const learned = new Uint8Array(ids.length).fill(1);
  const outputs = toolOutputs(text);
  for (const { start, end } of outputs) {
    const before = (place: number) => idsBefore(tokenizer, text, ids, { place, inner });
    learned.fill(0, before(start), before(end));
  }
  return { ids, learned, open: outputs.some((span) => span.open) };
}
