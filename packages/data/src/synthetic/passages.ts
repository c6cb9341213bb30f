// Paragraphs of synthetic pages: word problems and arithmetic for mathematics, templated prose for the rest.
import type { Choices } from "./random.ts";

const NAMES = [
  "Ada",
  "Bruno",
  "Chen",
  "Dina",
  "Emil",
  "Farah",
  "Goran",
  "Hana",
  "Ivo",
  "Jun",
  "Kofi",
  "Lena",
];
const THINGS = ["apples", "pencils", "marbles", "stamps", "tickets", "books", "coins", "shells", "cards"];
const PLACES = [
  "harbour",
  "museum",
  "valley",
  "market",
  "library",
  "station",
  "garden",
  "theatre",
  "mountain",
];
const TOPICS = [
  "history",
  "cooking",
  "travel",
  "music",
  "football",
  "gardening",
  "painting",
  "weather",
  "films",
];
const ADJECTIVES = ["quiet", "famous", "old", "bright", "narrow", "busy", "restored", "wooden", "northern"];
const VERBS = ["visited", "described", "restored", "painted", "photographed", "remembered", "admired"];

/** A solved word problem; the answer is right. */
export function wordProblem(c: Choices): { question: string; solution: string; answer: number } {
  const name = c.pick(NAMES);
  const thing = c.pick(THINGS);
  const a = c.int(3, 60);
  const b = c.int(2, 40);
  const k = c.int(2, 9);
  switch (c.int(0, 3)) {
    case 0:
      return {
        question: `${name} has ${a} ${thing} and buys ${b} more. How many ${thing} does ${name} have now?`,
        solution: `We add: $${a} + ${b} = ${a + b}$.`,
        answer: a + b,
      };
    case 1:
      return {
        question: `${name} packs ${k} boxes with ${a} ${thing} each. How many ${thing} are packed altogether?`,
        solution: `We multiply: $${k} \\times ${a} = ${k * a}$.`,
        answer: k * a,
      };
    case 2:
      return {
        question: `${name} shares ${a * k} ${thing} equally among ${k} friends. How many does each friend get?`,
        solution: `We divide: $\\frac{${a * k}}{${k}} = ${a}$.`,
        answer: a,
      };
    default:
      return {
        question: `${name} had ${a + b} ${thing}, gave away ${b}, and then doubled the rest. How many ${thing} are there?`,
        solution: `First $${a + b} - ${b} = ${a}$, then $2 \\times ${a} = ${2 * a}$.`,
        answer: 2 * a,
      };
  }
}

export function mathParagraph(c: Choices): string {
  const x = c.int(2, 20);
  const m = c.int(2, 9);
  const n = c.int(1, 30);
  switch (c.int(0, 4)) {
    case 0:
    case 1: {
      const p = wordProblem(c);
      return `Problem. ${p.question} Solution. ${p.solution} The answer is ${p.answer}.`;
    }
    case 2:
      return `Solve the equation $${m}x + ${n} = ${m * x + n}$. Subtract ${n} from both sides to get $${m}x = ${m * x}$, and divide by ${m}: $x = ${x}$.`;
    case 3:
      return `Theorem. The sum of the first $n$ integers is $\\frac{n(n+1)}{2}$. For $n = ${n}$ the sum is ${(n * (n + 1)) / 2}. The proof is by induction on $n$.`;
    default:
      return `The polynomial $(x + ${m})(x - ${n})$ expands to $x^2 + ${m - n}x - ${m * n}$, so its roots are $-${m}$ and $${n}$.`;
  }
}

export function proseParagraph(c: Choices): string {
  const place = c.pick(PLACES);
  const topic = c.pick(TOPICS);
  const name = c.pick(NAMES);
  const sentences = [
    `The ${c.pick(ADJECTIVES)} ${place} was ${c.pick(VERBS)} by ${name} in the ${c.pick(["spring", "summer", "autumn", "winter"])}.`,
    `Many readers who care about ${topic} have ${c.pick(VERBS)} the ${c.pick(ADJECTIVES)} ${c.pick(PLACES)} nearby.`,
    `${name} wrote a ${c.pick(ADJECTIVES)} article about ${topic}, and people talked about it for weeks.`,
    `On the way from the ${place} to the ${c.pick(PLACES)} there is a ${c.pick(ADJECTIVES)} café with ${c.int(2, 9)} tables.`,
    `It is said that the ${c.pick(ADJECTIVES)} ${c.pick(PLACES)} looks best in the evening light.`,
    `Our guide to ${topic} answers the questions that visitors of the ${place} ask most.`,
  ];
  const order = Array.from({ length: 3 }, () => c.int(0, sentences.length - 1));
  return order.map((i) => sentences[i]).join(" ");
}
