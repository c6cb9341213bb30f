// Functions to be written in Python, from a sentence, judged by tests that the model never sees.
import type { Draw, FamilyDefinition } from "./definition.ts";

interface Kind {
  /** The sentence about f(x), and the expression of x that it means. */
  write(k: number): { text: string; expression: string };
  value(x: number, k: number): number;
}

const kinds: Record<string, Kind> = {
  plus: { write: (k) => ({ text: `adds ${k} to x`, expression: `x+${k}` }), value: (x, k) => x + k },
  times: { write: (k) => ({ text: `multiplies x by ${k}`, expression: `x*${k}` }), value: (x, k) => x * k },
  minus: { write: (k) => ({ text: `subtracts ${k} from x`, expression: `x-${k}` }), value: (x, k) => x - k },
};
const names = Object.keys(kinds);

/** Arguments of the tests: asymmetric, 0 and a negative one among them. */
const ARGUMENTS = [0, 1, 7, -3, 20];

function read(question: string): { kind: Kind; k: number }[] {
  return question.split(", then ").map((part) => {
    const k = Number(/\d+/.exec(part)![0]);
    const name = part.includes("adds") ? "plus" : part.includes("multiplies") ? "times" : "minus";
    return { kind: kinds[name]!, k };
  });
}

/** The body of the function that the question asks for; a slip leaves the last step out, or is off by one. */
function body(question: string, int: Draw, slip: boolean): string {
  const steps = read(question);
  const kept = slip && steps.length > 1 ? steps.slice(0, -1) : steps;
  const off = slip && steps.length === 1 ? 1 + int(3) : 0;
  return kept.reduce((x, { kind, k }) => {
    const { expression } = kind.write(k + off);
    return expression.replace("x", x === "x" ? x : `(${x})`);
  }, "x");
}

/** `difficulty` steps one after another. */
export const functions: FamilyDefinition = {
  name: "functions",
  difficulty: "steps",
  answerForm: "any",
  draw: (int, steps) => {
    const parts = Array.from({ length: steps }, () => {
      const kind = kinds[names[int(names.length)]!]!;
      return { kind, k: 2 + int(98) };
    });
    const question = parts.map(({ kind, k }) => kind.write(k).text).join(", then ");
    const tests = ARGUMENTS.map((x) => {
      const value = parts.reduce((y, { kind, k }) => kind.value(y, k), x);
      return `assert f(${x}) == ${value}`;
    });
    return { question: `f(x) ${question}`, answer: "", tests };
  },
  keyOf: (question) => question,
  working: ({ question }, int, slip) => {
    const program = `def f(x):\n    return ${body(question, int, slip)}`;
    return { text: question, answer: program };
  },
  calls: ({ question }, int, slip) => [
    { tool: "python", text: `def f(x):\n    return ${body(question, int, slip)}`, output: "" },
  ],
};
