// The answer that the last sentence or line of a text states: "The answer is 12", "**Answer:** 12", "La respuesta es 12", 故选 B.
import { lastValue, sentences } from "./last-value.ts";
import { TooMuchWork, Unreadable } from "./limits.ts";
import { type Node, some } from "./node.ts";
import { parseAnswer } from "./parse.ts";

const ending = /(?:I hope (?:it|this) is correct\.?|<\|[a-z_]{1,20}\|>(?:user|assistant)?|<\/?s>|<eos>)$/i;
/** Longer than any ending. */
const ENDING = 64;

/** A text without blanks, stars and set phrases at its end. Linear: only the end is looked at. */
export function withoutEnding(text: string): string {
  let end = text.length;
  for (;;) {
    while (end > 0 && /[\s*]/.test(text[end - 1]!)) end--;
    const found = ending.exec(text.slice(Math.max(0, end - ENDING), end));
    if (!found) return text.slice(0, end);
    end -= found[0].length;
  }
}

/** Where a clause may end behind a value. */
const CLAUSE =
  /,\s+(?=\p{L})|\s+(?=(?:because|since|so|as|which|when|where|after|given|by|for|in|per|each|that|with|from|if)\s)|\s+\((?=\p{L})|;\s+|\s+[–—-]\s+(?=\p{L})/giu;
/** Words that take a value back, or offer another. */
const CHANGE_OF_MIND =
  /\b(?:not?|wait|actually|sorry|instead|but|rather|or|and|unless|maybe|perhaps|incorrect|wrong)\b/i;

export function isReadable(text: string): boolean {
  try {
    const wordy = (n: Node) => n.t === "text" || (n.t === "unit" && n.unit.split(" ").length > 3);
    return !some(parseAnswer(text).readings[0]!, wordy);
  } catch (error) {
    if (error instanceof Unreadable || error instanceof TooMuchWork) return false;
    throw error;
  }
}

/** "72, in total, so the farmer earns that much" states 72: the value before the words that go with it. */
export function withoutClause(text: string): string {
  if (text.length > 400 || text.includes("\\text") || isReadable(text)) return text;
  for (const cut of text.matchAll(CLAUSE)) {
    const value = text.slice(0, cut.index).trim();
    const rest = text.slice(cut.index);
    if (value === "" || !isReadable(value)) continue;
    const reason = /^\s+(?:because|since|as|which|when|where|given)\s/i.test(rest);
    return !reason && CHANGE_OF_MIND.test(rest.split(/\s+/).slice(0, 5).join(" ")) ? text : value;
  }
  return text;
}

/** What is written before an answer and a colon, in the languages of MGSM and some others. */
const LABEL = String.raw`(?:(?:the\s+)?(?:correct\s+)?answer|ans|答|解|答案|答え|respuesta|réponse|antwort|lösung|ответ|risposta|resposta|jibu|คำตอบ|উত্তর|సమాధానం|정답|답)`;
const lineAnswer = new RegExp(
  String.raw`^[*_#>\s-]{0,8}${LABEL}[*_\s]{0,4}[:：=][*_\s]{0,4}(\S[^\n]*)$`,
  "iu",
);
const lineLabel = new RegExp(String.raw`^[*_#>\s-]{0,8}${LABEL}[*_\s]{0,4}[:：]?[*_\s]{0,4}$`, "iu");
const sentenceAnswer =
  /\b(?:answers?|results?|solutions?|(?:correct|right|best)\s+(?:option|choice|answer)|option|choice)\s+(?:is|are|would be|must be)\s*:?\s*(?:(?:therefore|thus|then|hence|simply|just|indeed|clearly|exactly|equal to)\s*,?\s+)?(\S.*)$/i;
/** Other languages' "the answer is". */
const STATED = [
  /(?:^|[\s,;.¡])(?:la|a|die|das)\s+(?:respuesta|solución|réponse|solution|antwort|lösung|ergebnis|risposta|resposta)(?:\s+(?:final|correcta|correcte|richtige))?\s+(?:est|es|ist|lautet|è|é)\s*:?\s*(\S.*)$/iu,
  /(?:^|\s)ответ\s*(?:[—–-]|равен|это)\s*(\S.*)$/iu,
  /(?:^|\s)jibu\s+ni\s*:?\s*(\S.*)$/iu,
  /答え[はが]\s*[:：]?\s*(.+?)(?:です|である|となります)?[。.]?$/u,
  /คำตอบ\s*(?:คือ)\s*[:：]?\s*(\S.*)$/u,
  /উত্তর\s*(?:হল|হলো|হবে)\s*[:：]?\s*(\S.*?)[।.]?$/u,
  /సమాధానం\s*[:：]?\s*(\S.*)$/u,
  /(?:정답|답)은\s*(\S.*?)(?:입니다|이다)?[.]?$/u,
  /(?:故|所以|因此|应|正确答案)?选(?:项|择)?\s*[:：]?\s*[(（]?([A-J])[)）]?[。.]?$/u,
];
const CONDITIONAL = /\bwould be\b.*\b(?:if|unless)\b|\b(?:if|unless)\b.*\bwould be\b/i;
/** A sentence that denies an answer: the answer cannot be determined. */
const DENIED = /\banswer\s+((?:cannot|can't|can not|could not|couldn't)\s+be\s.*)$/i;
/** Lines behind an answer that only explain it. */
const EXPLAINED =
  /^[*_#\s]{0,6}(?:explanation|reason(?:ing)?|justification|verification|check|解释|说明|解析|验证)[*_\s]{0,4}[:：]/i;

/** The line that may state the answer: the last one, or the one before an explanation of it; a label joined with the line behind it. */
function statingLine(tail: string): string {
  const lines = tail.split("\n").map((line) => line.trim());
  const explained = lines.findIndex((line) => EXPLAINED.test(line));
  if (explained > 0) {
    const before = lines
      .slice(0, explained)
      .filter((line) => line !== "")
      .at(-1);
    if (before !== undefined && lineAnswer.test(before)) return before;
  }
  const bare = lines.filter((line) => line !== "" && !/^(?:\$\$|\\\[|\\\])$/.test(line));
  const [label, value] = [bare.at(-2), bare.at(-1) ?? ""];
  return label !== undefined && lineLabel.test(label) && /[\p{L}]/u.test(label)
    ? `Answer: ${value}`
    : (lines.at(-1) ?? "");
}

/** The answer that the end of a text states; undefined where it states none. */
export function lastSentence(text: string): string | undefined {
  const line = statingLine(withoutEnding(text.slice(-1200)));
  const marked = lineAnswer.exec(line) ?? /^A\s*[:：]\s*(\S.*)$/.exec(line);
  if (marked) {
    const value = withoutClause(marked[1]!.trim().replace(/\*+$/, ""));
    // A sentence in answer's place: 小明有 7 个苹果.
    if (!isReadable(value) && /[\u3400-\u9fff]/.test(value)) return lastValue(value, "any") ?? value;
    return value;
  }
  const sentence = sentences(line).at(-1) ?? "";
  // "The answer would be 5 if x was 2" states no answer.
  if (CONDITIONAL.test(sentence)) return undefined;
  const match = sentenceAnswer.exec(sentence) ?? DENIED.exec(sentence);
  const said = match ?? STATED.map((pattern) => pattern.exec(line)).find((found) => found !== null);
  return said ? withoutClause(said[1]!.trim().replace(/[.。*\s]+$/, "")) : undefined;
}
