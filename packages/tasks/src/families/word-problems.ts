// Word problems of several steps from templates: what someone has, gets, gives away and is left with.
import type { Draw, FamilyDefinition, Working } from "./definition.ts";

const names = ["Mia", "Tom", "Ana", "Leo", "Kim", "Sam", "Eva", "Max"];
const things = ["apples", "coins", "books", "cards", "pens", "shells"];
const LARGEST = 99;

interface StepKind {
  /** A sentence in which the step's verb occurs; nothing where the step cannot follow. */
  write(int: Draw, had: number, who: string, other: string, thing: string): string | undefined;
  /** The step on what is had, with the sentence's numbers: as an expression, and its value. */
  apply(had: number, k: readonly number[]): [expression: string, value: number];
}

/** Kinds of steps by the word that tells them apart. */
const kinds: Record<string, StepKind> = {
  buys: {
    write: (int, _, who, __, thing) => `${who} buys ${1 + int(9)} more ${thing}.`,
    apply: (had, [k]) => [`${had}+${k}`, had + k!],
  },
  gives: {
    write: (int, had, who, other, thing) =>
      had > 1 ? `${who} gives ${1 + int(Math.min(9, had - 1))} ${thing} to ${other}.` : undefined,
    apply: (had, [k]) => [`${had}-${k}`, had - k!],
  },
  bags: {
    write: (int, _, who, other, thing) =>
      `${other} brings ${who} ${2 + int(3)} bags with ${2 + int(4)} ${thing} each.`,
    apply: (had, [bags, k]) => [`${had}+${bags}*${k}`, had + bags! * k!],
  },
  doubles: {
    write: (_, __, who, ___, thing) => `${who} doubles the number of ${thing}.`,
    apply: (had) => [`${had}*2`, had * 2],
  },
  half: {
    write: (_, had, who, __, thing) =>
      had % 2 === 0 && had > 0 ? `${who} loses half of the ${thing}.` : undefined,
    apply: (had) => [`${had}/2`, had / 2],
  },
};
const verbs = Object.keys(kinds);
const numbersOf = (text: string) => (text.match(/\d+/g) ?? []).map(Number);

function story(int: Draw, steps: number): { question: string; answer: string } {
  const who = names[int(names.length)]!;
  const others = names.filter((name) => name !== who);
  const other = others[int(others.length)]!;
  const thing = things[int(things.length)]!;
  let had = 2 + int(8);
  const sentences = [`${who} has ${had} ${thing}.`];
  while (sentences.length <= steps) {
    const kind = kinds[verbs[int(verbs.length)]!]!;
    const sentence = kind.write(int, had, who, other, thing);
    if (sentence === undefined) continue;
    const [, value] = kind.apply(had, numbersOf(sentence));
    if (value > LARGEST) continue;
    sentences.push(sentence);
    had = value;
  }
  sentences.push(`How many ${thing} does ${who} have now?`);
  return { question: sentences.join(" "), answer: String(had) };
}

/** The steps as equations, read from the question; a slip is off by one in one of them and goes on from there. */
function solve(question: string, int: Draw, slip: boolean): Working {
  const sentences = question.split(/(?<=\.) /).slice(0, -1);
  let [had] = numbersOf(sentences[0]!) as [number];
  const steps = sentences.slice(1);
  const wrongAt = slip ? int(steps.length) : -1;
  const equations = steps.map((sentence, i) => {
    const verb = verbs.find((v) => sentence.includes(v))!;
    const [expression, value] = kinds[verb]!.apply(had, numbersOf(sentence));
    had = i === wrongAt ? value + 1 : value;
    return `${expression}=${had}`;
  });
  return { text: equations.join(" "), answer: String(had) };
}

/** The steps as one expression of the question's numbers; without the last one in a slip. */
function expressionOf(question: string, slip: boolean): { text: string; value: number } {
  const sentences = question.split(/(?<=\.) /).slice(0, -1);
  let [value] = numbersOf(sentences[0]!) as [number];
  let text = String(value);
  for (const sentence of slip ? sentences.slice(1, -1) : sentences.slice(1)) {
    const verb = verbs.find((v) => sentence.includes(v))!;
    const [equation, after] = kinds[verb]!.apply(value, numbersOf(sentence));
    const rest = equation.slice(String(value).length);
    text = /^[*/]/.test(rest) && /[-+]/.test(text) ? `(${text})${rest}` : text + rest;
    value = after;
  }
  return { text, value };
}

/** `difficulty` steps; who does it and with what makes no other problem. */
export const wordProblems: FamilyDefinition = {
  name: "word_problems",
  difficulty: "steps",
  answerForm: "number",
  draw: story,
  keyOf: (question) => (question.match(new RegExp(`\\d+|${verbs.join("|")}`, "g")) ?? []).join(" "),
  working: ({ question }, int, slip) => solve(question, int, slip),
  calls: ({ question }, _, slip) => {
    const { text, value } = expressionOf(question, slip);
    return [{ tool: "calculator", text, output: String(value) }];
  },
};
