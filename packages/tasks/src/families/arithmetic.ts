// Families of numbers alone: sums, sums and products and differences, products modulo a small number.
import type { FamilyDefinition, Working } from "./definition.ts";

/** Two numbers without order. */
function pair(a: number, b: number): string {
  return `${Math.min(a, b)}+${Math.max(a, b)}`;
}

/** The working of a question that is its own reasoning; a slip is off by a little. */
function restated(question: string, answer: string, int: (n: number) => number, slip: boolean): Working {
  const said = slip ? String(Number(answer) + 1 + int(9)) : answer;
  return { text: `${question}=${said}`, answer: said };
}

/**
 * The working of a sum, digit by digit from the right with its carries: `34+58` gives `4+8=12 3+5+1=9`; a slip forgets
 * the carries, `4+8=12 3+5=8`, and ends at 82.
 */
function sumWorking(question: string, slip: boolean): Working {
  const [left, right] = question.split("+");
  const [a, b] = [[...left!].reverse(), [...right!].reverse()];
  const steps: string[] = [];
  const length = Math.max(a.length, b.length);
  let carry = 0;
  let result = "";
  for (let i = 0; i < length; i++) {
    const [x, y] = [Number(a[i] ?? 0), Number(b[i] ?? 0)];
    const total = x + y + carry;
    steps.push(`${x}+${y}${carry ? "+1" : ""}=${total}`);
    carry = total >= 10 && !slip ? 1 : 0;
    result = (i === length - 1 ? String(total) : String(total % 10)) + result;
  }
  return { text: steps.join(" "), answer: String(Number(result)) };
}

/** Operands of up to `difficulty` digits; a + b and b + a are one problem. */
export const addition: FamilyDefinition = {
  name: "addition",
  difficulty: "digits",
  answerForm: "number",
  draw: (int, digits) => {
    const [a, b] = [int(10 ** digits), int(10 ** digits)];
    return { question: `${a}+${b}`, answer: String(a + b) };
  },
  keyOf: (question) => {
    const m = /(\d+)\D+(\d+)/.exec(question);
    return m ? pair(Number(m[1]), Number(m[2])) : question;
  },
  working: ({ question }, _, slip) => sumWorking(question, slip),
};

/** a + b, a − b, a × b with operands of up to `difficulty` digits. */
export const arithmetic: FamilyDefinition = {
  name: "arithmetic",
  difficulty: "digits",
  answerForm: "number",
  draw: (int, digits) => {
    const [a, b] = [int(10 ** digits), int(10 ** digits)];
    const op = "+-*"[int(3)]!;
    const value = op === "+" ? a + b : op === "-" ? a - b : a * b;
    return { question: `${a}${op}${b}`, answer: String(value) };
  },
  keyOf: (question) => {
    const m = /(\d+)([-+*])(\d+)/.exec(question);
    if (!m) return question;
    return m[2] === "-" ? m[0] : `${m[2]}${pair(Number(m[1]), Number(m[3]))}`;
  },
  working: ({ question, answer }, int, slip) => restated(question, answer, int, slip),
};

/** a × b with operands of exactly `difficulty` digits; a slip of a call reads the first one twice. */
export const products: FamilyDefinition = {
  name: "products",
  difficulty: "digits",
  answerForm: "number",
  draw: (int, digits) => {
    const operand = () => 10 ** (digits - 1) + int(9 * 10 ** (digits - 1));
    const [a, b] = [operand(), operand()];
    return { question: `${a}*${b}`, answer: String(a * b) };
  },
  keyOf: (question) => {
    const m = /(\d+)\*(\d+)/.exec(question);
    return m ? pair(Number(m[1]), Number(m[2])) : question;
  },
  working: ({ question, answer }, int, slip) => restated(question, answer, int, slip),
  calls: ({ question }, _, slip) => {
    const [a, b] = question.split("*").map(Number) as [number, number];
    const by = slip ? a : b;
    return [{ tool: "python", text: `print(${a}*${by})`, output: String(a * by) }];
  },
};

/** (a × b) mod m with operands of up to `difficulty` digits, m from 3 to 12. */
export const modular: FamilyDefinition = {
  name: "modular",
  difficulty: "digits",
  answerForm: "number",
  draw: (int, digits) => {
    const [a, b] = [int(10 ** digits), int(10 ** digits)];
    const m = 3 + int(10);
    return { question: `(${a}*${b})%${m}`, answer: String((a * b) % m) };
  },
  keyOf: (question) => {
    const m = /\((\d+)\*(\d+)\)%(\d+)/.exec(question);
    return m ? `${pair(Number(m[1]), Number(m[2]))}%${m[3]}` : question;
  },
  working: ({ question, answer }, int, slip) => {
    if (slip) return restated(question, answer, int, true);
    const [a, b, m] = question.match(/\d+/g)!.map(Number) as [number, number, number];
    return { text: `${a}*${b}=${a * b} ${a * b}=${m}*${Math.floor((a * b) / m)}+${answer}`, answer };
  },
};
