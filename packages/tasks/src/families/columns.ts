// Sums and differences worked column by column in words of one of two languages, or of both at once: what a base model has read, and what
// a reward for one language can mend.
import type { Draw, FamilyDefinition, Manner, Working } from "./definition.ts";

/** Words of the columns from the right, of the check behind them, and of its outcome. */
const WORDS = {
  en: { columns: ["ones", "tens", "hundreds", "thousands"], check: "check", yes: "good", no: "bad" },
  zh: { columns: ["个位", "十位", "百位", "千位"], check: "验算", yes: "对", no: "错" },
} as const;
const LARGEST = WORDS.en.columns.length;

type Language = Manner["language"];

/** The language of each next part: that of the manner, or one that changes after a third of the parts. */
function speaker(int: Draw, manner: Manner | undefined): () => Language {
  if (manner) return () => manner.language;
  let now: Language = int(2) === 0 ? "en" : "zh";
  return () => {
    const said = now;
    if (int(3) === 0) now = now === "en" ? "zh" : "en";
    return said;
  };
}

/** The columns of a sum or a difference from the right, as equations, and what they come to; a slip forgets what is carried or borrowed. */
function columnsOf(question: string, slip: boolean): { equations: string[]; value: number } {
  const [, left, op, right] = /(\d+)([-+])(\d+)/.exec(question)!;
  const [a, b] = [[...left!].reverse().map(Number), [...right!].reverse().map(Number)];
  const length = Math.max(a.length, b.length);
  const equations: string[] = [];
  let [carry, value] = [0, 0];
  for (let i = 0; i < length; i++) {
    const [x, y] = [a[i] ?? 0, b[i] ?? 0];
    let digit: number;
    let next: number;
    if (op === "+") {
      const total = x + y + carry;
      equations.push(`${x}+${y}${carry ? "+1" : ""}=${total}`);
      next = total >= 10 ? 1 : 0;
      digit = i === length - 1 ? total : total % 10;
    } else {
      const less = x - y - carry;
      next = less < 0 ? 1 : 0;
      digit = less + 10 * next;
      equations.push(`${next ? `1${x}` : x}-${y}${carry ? "-1" : ""}=${digit}`);
    }
    carry = slip ? 0 : next;
    value += digit * 10 ** i;
  }
  return { equations, value };
}

/** Every other work is checked where nothing says whether it is. */
const CHECKED = 4;

function work(question: string, int: Draw, slip: boolean, manner: Manner | undefined): Working {
  const { equations, value } = columnsOf(question, slip);
  const language = speaker(int, manner);
  const parts = equations.map((equation, i) => `${WORDS[language()].columns[i]} ${equation}`);
  if (manner ? manner.long : int(CHECKED) === 0) {
    const [, left, op, right] = /(\d+)([-+])(\d+)/.exec(question)!;
    const back = op === "+" ? value - Number(right) : value + Number(right);
    const { check, yes, no } = WORDS[language()];
    const verdict = back === Number(left) ? yes : no;
    parts.push(`${check} ${value}${op === "+" ? "-" : "+"}${right}=${back} ${verdict}`);
  }
  return { text: parts.join(" "), answer: String(value) };
}

const digitsOf = (difficulty: number) => Math.min(LARGEST, difficulty);

/** Two numbers of up to `difficulty` digits, four at most, to be added. */
export const columnSums: FamilyDefinition = {
  name: "column_sums",
  difficulty: "digits, at most 4",
  answerForm: "number",
  draw: (int, difficulty) => {
    const [a, b] = [int(10 ** digitsOf(difficulty)), int(10 ** digitsOf(difficulty))];
    return { question: `${a}+${b}`, answer: String(a + b) };
  },
  keyOf: (question) => {
    const m = /(\d+)\+(\d+)/.exec(question);
    return m
      ? [m[1], m[2]]
          .map(Number)
          .sort((x, y) => x - y)
          .join("+")
      : question;
  },
  working: ({ question }, int, slip, manner) => work(question, int, slip, manner),
};

/** The smaller of two numbers of up to `difficulty` digits, four at most, to be taken from the larger. */
export const columnDifferences: FamilyDefinition = {
  name: "column_differences",
  difficulty: "digits, at most 4",
  answerForm: "number",
  draw: (int, difficulty) => {
    const pair = [int(10 ** digitsOf(difficulty)), int(10 ** digitsOf(difficulty))];
    const [a, b] = [Math.max(...pair), Math.min(...pair)];
    return { question: `${a}-${b}`, answer: String(a - b) };
  },
  keyOf: (question) => /\d+-\d+/.exec(question)?.[0] ?? question,
  working: ({ question }, int, slip, manner) => work(question, int, slip, manner),
};
