// Finds the one final answer in a completion; an answer that is only part of the reasoning is never taken.

import { lastValue, sentences } from "./last-value.ts";
import { groupEnd } from "./lex.ts";
import { TooMuchWork, Unreadable } from "./limits.ts";
import { parseAnswer } from "./parse.ts";
import { lastSentence, withoutClause, withoutEnding } from "./stated.ts";

export type AnswerKind =
  | "answer_tag"
  | "boxed"
  | "hashes"
  | "final_answer"
  | "sentence"
  | "program"
  | "last_value"
  | "none";

export interface Extracted {
  kind: AnswerKind;
  text: string;
  /** Why this was or was not taken. */
  why: string;
}

export interface ExtractOptions {
  /**
   * What stands in for a missing final answer: nothing (rewards), the last formula, or the last formula or number (the
   * usual rule for base models).
   */
  fallback?: "none" | "latex" | "any";
}

interface Span {
  start: number;
  end: number;
  text: string;
}

const MAX_JOINED = 24;

/** What may stand between two parts of one answer: separators, a few words with "and" or "or", never a change of mind. */
function joins(between: string): boolean {
  if (between.length > 60) return false;
  const s = between
    .replace(/\\(?:quad|qquad|text(?:bf|rm)?|mbox|[()[\],;: ])/g, " ")
    .replace(/[${}*]/g, " ")
    .trim();
  if (/^[,;\s+]*$/.test(s)) return true;
  if (/\b(?:wait|no|not|so|but|actually|hmm|then|thus|hence|therefore|instead|correct)\b|[.?!]/i.test(s))
    return false;
  return /(?:^|[\s,;])(?:and|or|和|或)(?:$|[\s,;])/.test(s);
}

/** The last box, with those before it that belong to the same answer. */
function lastBoxed(text: string): Span | undefined {
  const found: Span[] = [];
  let from = text.length;
  // A place below 0 would be read as 0, and a box there found again.
  while (found.length < MAX_JOINED && from >= 0) {
    const at = Math.max(text.lastIndexOf("\\boxed", from), text.lastIndexOf("\\fbox", from));
    if (at < 0) break;
    from = at - 1;
    let open = at + (text.startsWith("\\boxed", at) ? 6 : 5);
    while (text[open] === " ") open++;
    if (text[open] !== "{") {
      if (found.length > 0) break;
      const bare = /^\s*(\S{1,20})/.exec(text.slice(open, open + 24));
      if (!bare) continue;
      found.unshift({ start: at, end: open + bare[0].length, text: bare[1]! });
      continue;
    }
    const end = groupEnd(text, open);
    const box = { start: at, end: Math.min(end + 1, text.length), text: text.slice(open + 1, end) };
    const after = found[0];
    if (after && (box.end > after.start || !joins(text.slice(box.end, after.start)))) break;
    // A box that never closes ends at the end of its line.
    if (end === text.length) box.text = box.text.split("\n")[0]!.replace(/[$\s]+$/, "");
    found.unshift(box);
  }
  const [first, last] = [found[0], found.at(-1)];
  if (!first || !last) return undefined;
  const parts = found.map((b) => b.text.trim());
  const percent = /^\s*(?:\$|\\\)|\\\])?\s*(?:\\?%|percent\b|pct\b|percentage\b)/.test(
    text.slice(last.end, last.end + 24),
  );
  return { start: first.start, end: last.end, text: parts.join(", ") + (percent ? "\\%" : "") };
}

/** The statement after the last "Final Answer" or "the final answer is". */
function finalStatement(text: string): Span | undefined {
  const lower = text.toLowerCase();
  let at = lower.lastIndexOf("final answer");
  const chinese = Math.max(
    text.lastIndexOf("最终答案"),
    text.lastIndexOf("答案是"),
    text.lastIndexOf("答案为"),
    text.lastIndexOf("答案："),
  );
  if (chinese > at) {
    const rest = text.slice(chinese, chinese + 400).replace(/^(?:最终)?答案(?:是|为)?[:：]?\s*/, "");
    const value = rest.split(/[\n。]/)[0]!.trim();
    return value === "" ? undefined : { start: chinese, end: chinese + value.length, text: value };
  }
  if (at < 0) return undefined;
  const opening = lower.lastIndexOf("final answer", at - 1);
  const statement = /^final answer\W{0,8}(?:is|to the problem is)?\W{0,3}:?\s*/i;
  // "Final Answer: The final answer is 5" is one statement.
  if (opening >= 0 && at - opening < 28) at = Math.max(opening, at);
  const head = statement.exec(text.slice(at, at + 60));
  const start = at + (head ? head[0].replace(/[$\\([{"<-]+$/, "").length : 12);
  const sentence = sentences(text.slice(start, start + 600))[0] ?? "";
  const value = withoutClause(stated(sentence));
  return value === "" ? undefined : { start: at, end: start + sentence.length, text: value };
}

/** "The largest n is 34" says 34; a sentence without "is" says its last value. */
function stated(sentence: string): string {
  const s = withoutEnding(sentence.trim()).replace(/\\?"/g, " ").trim();
  const at = s.search(/^[$\\\d(\-[{]/) === 0 ? -1 : s.toLowerCase().lastIndexOf(" is ");
  if (at >= 0) return s.slice(at + 4).trim();
  if (s.length <= 24 || /^(?:\$|\\[([])/.test(s)) return s;
  return lastValue(s, "any") ?? s;
}

const SHORT = 80;

/** Whether a short text is nothing but a value. */
function isValue(text: string): boolean {
  if (text === "" || text.length > SHORT || text.includes("$")) return false;
  try {
    const { readings } = parseAnswer(text);
    return readings[0]!.t !== "text" && readings[0]!.t !== "unit";
  } catch (error) {
    if (error instanceof Unreadable || error instanceof TooMuchWork) return false;
    throw error;
  }
}

function answerTags(text: string): string[] {
  const out: string[] = [];
  for (let at = text.indexOf("<answer>"); at >= 0 && out.length < 2; ) {
    const end = text.indexOf("</answer>", at);
    if (end < 0) break;
    out.push(text.slice(at + 8, end));
    at = text.indexOf("<answer>", end);
  }
  return out;
}

const MOST_HEADINGS = 20;

/**
 * The answer behind the last `####`. In Markdown it is a heading: one that is no value ("#### Verification") takes no
 * answer back that stands before it.
 */
function lastHashes(text: string, boxed: boolean): Span | undefined {
  let last: Span | undefined;
  let from = text.length;
  for (let n = 0; n < MOST_HEADINGS && from >= 0; n++) {
    const at = text.lastIndexOf("####", from);
    if (at < 0) break;
    from = at - 1;
    if (text[at - 1] === "#" || text[at + 4] === "#") continue;
    const line = text
      .slice(at + 4)
      .split("\n", 1)[0]!
      .trim();
    if (line === "") continue;
    const span = { start: at, end: at + 4 + line.length, text: line };
    if (isValue(line.replace(/\$/g, ""))) return span;
    last ??= span;
  }
  return boxed ? undefined : last;
}

/**
 * The final answer: the <answer> tag; else the last of \boxed, "Final answer: …" and `#### x`; else "answer is x" or
 * "A: x" in the last sentence; else the fallback. Text before the last </think> does not count; a thought that never ends
 * gives no answer; several <answer> tags give none.
 */
export function extractAnswer(completion: string, options: ExtractOptions = {}): Extracted {
  const end = completion.lastIndexOf("</think>");
  if (end < 0 && completion.includes("<think>")) {
    return { kind: "none", text: "", why: "the thought does not end" };
  }
  let text = end < 0 ? completion : completion.slice(end + "</think>".length);
  if (text.includes("\\\\boxed{")) text = text.replaceAll("\\\\", "\\");
  const tags = answerTags(text);
  if (tags.length > 1) return { kind: "none", text: "", why: "several <answer> tags" };
  if (tags.length === 1) {
    const inside = tags[0]!.trim();
    return { kind: "answer_tag", text: lastBoxed(inside)?.text ?? inside, why: "<answer> tag" };
  }
  const boxed = lastBoxed(text);
  const hashes = lastHashes(text, boxed !== undefined);
  const hashAt = hashes?.start ?? -1;
  const statement = finalStatement(text);
  const latest = Math.max(boxed?.end ?? -1, hashAt, statement?.start ?? -1);
  if (boxed && latest === boxed.end) return { kind: "boxed", text: boxed.text.trim(), why: "last \\boxed" };
  if (hashes && latest === hashAt) return { kind: "hashes", text: hashes.text, why: "after ####" };
  if (statement) return { kind: "final_answer", text: statement.text, why: 'after "final answer"' };
  if (boxed) return { kind: "boxed", text: boxed.text.trim(), why: "last \\boxed" };
  const sentence = lastSentence(text);
  if (sentence) return { kind: "sentence", text: sentence, why: "final sentence" };
  const fallback = options.fallback ?? "none";
  if (fallback === "any" && isValue(text.trim()))
    return { kind: "last_value", text: text.trim(), why: "the whole text" };
  const value = fallback === "none" ? undefined : lastValue(withoutEnding(text), fallback);
  if (value)
    return { kind: "last_value", text: value, why: fallback === "any" ? "last value" : "last formula" };
  return { kind: "none", text: "", why: "no final answer found" };
}
