// Finds the one final answer in a completion; an answer that is only part of the reasoning is never taken.

export type AnswerKind = "answer_tag" | "boxed" | "hashes" | "sentence" | "none";

export interface Extracted {
  kind: AnswerKind;
  text: string;
  /** Why this was or was not taken. */
  why: string;
}

/** Content of the last \boxed{…} with balanced braces. */
function lastBoxed(text: string): string | undefined {
  const at = text.lastIndexOf("\\boxed{");
  if (at < 0) return undefined;
  let depth = 0;
  for (let i = at + 6; i < text.length; i++) {
    if (text[i] === "{") depth++;
    if (text[i] === "}" && --depth === 0) return text.slice(at + 7, i);
  }
  return undefined;
}

/**
 * The final answer: the <answer> tag, else the last \boxed, else `#### x`, else "answer is x" in the last sentence.
 * Text before the last </think> does not count; a thought that never ends gives no answer; several <answer> tags give none.
 */
export function extractAnswer(completion: string): Extracted {
  const end = completion.lastIndexOf("</think>");
  if (end < 0 && completion.includes("<think>")) {
    return { kind: "none", text: "", why: "the thought does not end" };
  }
  const text = end < 0 ? completion : completion.slice(end + "</think>".length);
  const tags = [...text.matchAll(/<answer>([\s\S]*?)<\/answer>/g)];
  if (tags.length > 1) return { kind: "none", text: "", why: "several <answer> tags" };
  if (tags.length === 1) {
    const inside = tags[0]![1]!.trim();
    return { kind: "answer_tag", text: lastBoxed(inside) ?? inside, why: "<answer> tag" };
  }
  const boxed = lastBoxed(text);
  if (boxed !== undefined) return { kind: "boxed", text: boxed.trim(), why: "last \\boxed" };
  const hashes = [...text.matchAll(/####\s*([^\n]+)/g)].at(-1);
  if (hashes) return { kind: "hashes", text: hashes[1]!.trim(), why: "after ####" };
  const sentence = /(?:answer|result)\s+is\s*:?\s*([^\n]+?)\s*\.?\s*$/i.exec(text.trim());
  if (sentence) return { kind: "sentence", text: sentence[1]!.trim(), why: "final sentence" };
  return { kind: "none", text: "", why: "no final answer found" };
}
