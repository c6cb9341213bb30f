// Language consistency (DeepSeek-R1 §2.3.2): the share of target-language words in the chain of thought.
//
// 1. Mathematics is left out: formulas between dollar signs or \( \), commands, code, tags, numbers, names of functions, Latin and Greek
//    words with a digit in them, and single letters (variables) that are no word of the target language or stand beside an operator.
// 2. What is left is cut into words of one script each. Of scripts without spaces between words, Chinese and Japanese count by
//    characters, and Thai, Lao, Khmer and Burmese by the words of ICU's dictionaries.
// 3. A script that one language alone is written in decides. Han characters are Japanese in a sentence that has Kana, else Chinese.
// 4. Where languages share a script, lid.176 reads the words of that script sentence by sentence; sentences too short to be identified
//    count as the one before them. Where nothing can be identified, the script alone counts.
import { identifyLanguages, loadLanguageModel } from "@nsa/data";
import { perOutput, type RewardKind } from "./kind.ts";
import { isDecisive, needsIdentifier, scripts, writes } from "./scripts.ts";

/** The chain of thought, where it is marked; else the whole text. */
function thoughtOf(text: string): string {
  return /<think>([\s\S]*?)(?:<\/think>|$)/.exec(text)?.[1] ?? text;
}

const MATHEMATICS = [
  /```[\s\S]*?(?:```|$)/g,
  /`[^`\n]*`/g,
  /\$\$[\s\S]*?\$\$/g,
  /\$[^$\n]*\$/g,
  /\\\([\s\S]*?\\\)/g,
  /\\\[[\s\S]*?\\\]/g,
  // A command with its argument: \boxed{7}, \text{cm}.
  /\\[A-Za-z]+(?:\{[^{}]*\})*/g,
  /<\/?[A-Za-z][A-Za-z_0-9]*>/g,
];
const FUNCTIONS = new Set("sin cos tan cot sec csc log ln exp lim mod gcd lcm max min det".split(" "));

const withoutMathematics = (text: string) =>
  MATHEMATICS.reduce((left, part) => left.replace(part, " "), text);

/** A word or, of Chinese and Japanese, a character. */
interface Word {
  text: string;
  script: string;
}

const singly = new Set(["Han", "Hiragana", "Katakana"]);
const unspaced = new Set(["Thai", "Lao", "Khmer", "Myanmar"]);
const classes = scripts.map((script) => [script, new RegExp(`\\p{Script=${script}}`, "u")] as const);
const scriptOf = (letter: string) => classes.find(([, pattern]) => pattern.test(letter))?.[0] ?? "other";

let segmenter: Intl.Segmenter | undefined;
function dictionaryWords(text: string): string[] {
  segmenter ??= new Intl.Segmenter("th", { granularity: "word" });
  return [...segmenter.segment(text)].filter(({ isWordLike }) => isWordLike).map(({ segment }) => segment);
}

/** Scripts that formulas take their letters from. */
const formulaic = new Set(["Latin", "Greek"]);
/** Words of a single letter; other single letters are variables. */
const LETTER_WORDS: Record<string, string> = {
  ...{
    ca: "a e i o",
    cs: "a i k o s u v z",
    da: "i å",
    el: "η ή ο",
    en: "a i",
    es: "a e o u y",
    fr: "a à y",
  },
  ...{
    hu: "a",
    it: "a e è i o",
    no: "i å",
    pl: "a i o u w z",
    pt: "a à e é o",
    ro: "a e o",
    sk: "a i k o s u v z",
  },
  ...{ sv: "i å" },
};

/** What stands next to a word: directly, and behind spaces. */
interface Neighbours {
  near: string;
  far: string;
}

/** Whether letters are part of a formula. */
function isFormula(text: string, { near, far }: Neighbours, target: string): boolean {
  if (/[\p{N}_]/u.test(near) || FUNCTIONS.has(text)) return true;
  if (text.length > 1) return false;
  const known = LETTER_WORDS[target]?.split(" ").includes(text.toLowerCase());
  return !known || /[=+*/^<>≤≥×÷·]/u.test(far);
}

/** A run of one script as words; none where it is part of a formula. */
function wordsOf(text: string, script: string, around: Neighbours, target: string): Word[] {
  if (singly.has(script))
    return (text.match(/\p{L}/gu) ?? []).map((character) => ({ text: character, script }));
  if (unspaced.has(script)) return dictionaryWords(text).map((word) => ({ text: word, script }));
  return formulaic.has(script) && isFormula(text, around, target) ? [] : [{ text, script }];
}

/** Words of a sentence; apostrophes and marks belong to the word that they stand in. */
function words(sentence: string, target: string): Word[] {
  const found: Word[] = [];
  for (const { index, 0: letters } of sentence.matchAll(
    /\p{L}(?:[\p{L}\p{M}\u200c\u200d]|['’](?=\p{L}))*/gu,
  )) {
    const [before, after] = [sentence.slice(0, index), sentence.slice(index + letters.length)];
    const near = before.slice(-1) + after.slice(0, 1);
    const around = { near, far: before.trimEnd().slice(-1) + after.trimStart().slice(0, 1) };
    let [run, script] = ["", ""];
    const end = () => {
      if (run !== "") found.push(...wordsOf(run, script, around, target));
    };
    for (const letter of letters) {
      // Marks, apostrophes and the Japanese sign of a long vowel belong to what they follow.
      const own = /\p{L}/u.test(letter) && letter !== "ー" ? scriptOf(letter) : script;
      if (own !== script) {
        end();
        [run, script] = ["", own];
      }
      run += letter;
    }
    end();
  }
  return found;
}

const sentencesOf = (text: string) => text.split(/[\n.!?。！？؟।…]+/u);

/** Letters below which a sentence is too short to be identified, and probabilities that decide. */
const LETTERS = 18;
const SURE = 0.5;
const LIKELY = 0.2;

/** Whether text in a shared script is of the target language; undefined where it cannot be identified. */
async function isTarget(text: string, target: string): Promise<boolean | undefined> {
  if ((text.match(/\p{L}/gu) ?? []).length < LETTERS) return undefined;
  const found = await identifyLanguages(text.toLowerCase(), 5);
  if (found.some(({ language, probability }, i) => language === target && (i === 0 || probability >= LIKELY)))
    return true;
  return found[0] && found[0].probability >= SURE ? false : undefined;
}

/** Share of target-language words in the chain of thought; 1 for a thought without words. */
export async function languageConsistency(completion: string, target: string): Promise<number> {
  let [own, all] = [0, 0];
  /** What the last identified sentence of each script was. */
  const last = new Map<string, boolean>();
  const waiting = new Map<string, number>();
  const settle = (script: string, verdict: boolean) => {
    if (verdict) own += waiting.get(script) ?? 0;
    waiting.delete(script);
    last.set(script, verdict);
  };
  for (const sentence of sentencesOf(withoutMathematics(thoughtOf(completion)))) {
    const found = words(sentence, target);
    all += found.length;
    const kana = found.some(({ script }) => script === "Hiragana" || script === "Katakana");
    for (const script of new Set(found.map((word) => word.script))) {
      const of = found.filter((word) => word.script === script);
      if (!writes(target, script)) continue;
      if (isDecisive(script)) {
        if (script !== "Han" || kana === (target === "ja")) own += of.length;
        continue;
      }
      const verdict = await isTarget(of.map(({ text }) => text).join(" "), target);
      if (verdict !== undefined) settle(script, verdict);
      const known = verdict ?? last.get(script);
      // Sentences before the first one that is identified count as that one.
      if (known === undefined) waiting.set(script, (waiting.get(script) ?? 0) + of.length);
      else if (known) own += of.length;
    }
  }
  for (const script of [...waiting.keys()]) settle(script, true);
  return all === 0 ? 1 : own / all;
}

export const language: RewardKind = {
  name: "language",
  ofForm: true,
  async open({ language: target }) {
    if (needsIdentifier(target)) await loadLanguageModel();
    return perOutput((s) => languageConsistency(s.completion, target));
  },
};
