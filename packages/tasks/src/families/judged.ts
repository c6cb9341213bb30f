// Families without a rule: greetings and lists. Many answers do; a judge says how good one is, as people would. Training never sees the
// judge: it makes the preferences that a reward model learns, and measures what became of them.
import type { Draw, FamilyDefinition, Manner } from "./definition.ts";

const NAMES = ["Mia", "Tom", "Ana", "Leo", "Kim", "Sam", "Eva", "Max", "Ida", "Ben", "Zoe", "Jan"];
const TIMES = ["morning", "evening", "night"];
const THINGS = ["fig", "nut", "pear", "plum", "bread", "milk", "salt", "rice", "tea", "egg", "bean", "corn"];

const WORDS = {
  en: { who: "names", when: "time", what: "things" },
  zh: { who: "名字", when: "时间", what: "东西" },
};

/** The words of a thought: of the manner's language, or each of either. */
const wordsOf = (int: Draw, manner: Manner | undefined) => () =>
  WORDS[manner?.language ?? (int(2) === 0 ? "en" : "zh")];

/** `count` different ones, in a random order. */
function some(from: readonly string[], count: number, int: Draw): string[] {
  const left = [...from];
  return Array.from({ length: Math.min(count, from.length) }, () => left.splice(int(left.length), 1)[0]!);
}

const times = (text: string, word: string) => text.split(/[^A-Za-z]+/).filter((w) => w === word).length;

interface Greeting {
  names: string[];
  time: string;
}

function greetingOf(question: string): Greeting {
  const [, names, time] = /greet (.*), (\w+)/.exec(question)!;
  return { names: names!.split(" and "), time: time! };
}

/**
 * How good a greeting is: half for the people, each named once and nobody else; a quarter for the right time of day, 0.15 for a polite
 * opening and 0.1 for its one mark of exclamation.
 */
function judgeGreeting(question: string, answer: string): number {
  const { names, time } = greetingOf(question);
  const named = names.filter((name) => times(answer, name) === 1).length / names.length;
  const others = NAMES.some((name) => !names.includes(name) && times(answer, name) > 0);
  const said = TIMES.filter((t) => times(answer, t) > 0);
  return (
    (others ? 0 : 0.5 * named) +
    (said.length === 1 && said[0] === time ? 0.25 : 0) +
    (answer.startsWith("Good ") ? 0.15 : 0) +
    (/^[^!]*!$/.test(answer) ? 0.1 : 0)
  );
}

/** `difficulty` people to be greeted, three at most, at a time of day. A slip leaves each of the judge's points open. */
export const greetings: FamilyDefinition = {
  name: "greetings",
  difficulty: "people, at most 3",
  answerForm: "any",
  judge: ({ question }, answer) => judgeGreeting(question, answer),
  draw: (int, people) => {
    const names = some(NAMES, Math.min(3, people), int);
    const time = TIMES[int(TIMES.length)]!;
    return {
      question: `greet ${names.join(" and ")}, ${time}`,
      answer: `Good ${time}, ${names.join(" and ")}!`,
    };
  },
  keyOf: (question) => {
    const { names, time } = greetingOf(question);
    return `${names.toSorted().join(" ")} ${time}`;
  },
  working: ({ question }, int, slip, manner) => {
    const { names, time } = greetingOf(question);
    const half = () => slip && int(2) === 0;
    const word = wordsOf(int, manner);
    const text = `${word().who} ${names.join(" ")} ${word().when} ${time}`;
    const who = half() ? [names[0]!, ...(int(2) === 0 ? some(NAMES, 1, int) : [])] : names;
    const when = half() ? TIMES[int(TIMES.length)]! : time;
    const opening = half() ? `Hey ${who.join(" and ")}` : `Good ${when}, ${who.join(" and ")}`;
    return { text, answer: `${opening}${half() ? "" : "!"}` };
  },
};

const itemsOf = (question: string) => /list (.*)/.exec(question)![1]!.split(" ");

/** How good a list is: half for its items, each once and nothing else; a quarter for their order, a quarter for numbers in front of them. */
function judgeList(question: string, answer: string): number {
  const items = itemsOf(question);
  const written = answer.split(/[^A-Za-z]+/).filter((w) => w !== "");
  const once = items.filter((item) => times(answer, item) === 1).length / items.length;
  const others = written.some((w) => !items.includes(w));
  const inOrder = written.join(" ") === items.join(" ");
  const numbers = (answer.match(/\d+/g) ?? []).map(Number);
  const counted =
    numbers.length === items.length && numbers.every((n, i) => n === i + 1) && /^1\) \w/.test(answer);
  return (others ? 0 : 0.5 * once) + (inOrder ? 0.25 : 0) + (counted ? 0.25 : 0);
}

/** `difficulty` things to be listed, five at most. A slip leaves each of the judge's points open. */
export const lists: FamilyDefinition = {
  name: "lists",
  difficulty: "things, at most 5",
  answerForm: "any",
  judge: ({ question }, answer) => judgeList(question, answer),
  draw: (int, things) => {
    const items = some(THINGS, Math.min(5, Math.max(2, things)), int);
    return {
      question: `list ${items.join(" ")}`,
      answer: items.map((item, i) => `${i + 1}) ${item}`).join(" "),
    };
  },
  keyOf: (question) => itemsOf(question).join(" "),
  working: ({ question }, int, slip, manner) => {
    const items = itemsOf(question);
    const text = `${wordsOf(int, manner)().what} ${items.join(" ")}`;
    const half = () => slip && int(2) === 0;
    const kept = half() ? items.toSpliced(int(items.length), 1) : [...items];
    if (half()) kept.reverse();
    const numbered = !half();
    return {
      text,
      answer: kept.map((item, i) => (numbered ? `${i + 1}) ${item}` : item)).join(numbered ? " " : ", "),
    };
  },
};
