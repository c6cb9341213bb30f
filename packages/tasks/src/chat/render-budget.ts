// The work of rendering a template, counted: templates come from other people's model folders, and loops in loops may never end.
//
// Every node that the interpreter evaluates counts, by the length of its text, wherever it is, so that the same template and messages always end in the same way, on any
// machine. The interpreter has no hook of its own; its `evaluate` is wrapped once, and so is what gives it its `range`.
import { Environment, Interpreter } from "@huggingface/jinja";

/** Nodes for one rendering; Llama 3's template needs about a hundred for a message. */
const MAX_NODES = 1_000_000;
/** Characters of a node's text that count as another node: texts that grow make single nodes dear. */
const STEP_CHARACTERS = 256;
/** Numbers that `range` gives at once. */
const MAX_RANGE = 100_000;

let left = Number.POSITIVE_INFINITY;

function spend(steps: number): void {
  left -= steps;
  if (left < 0) throw new Error(`it takes more than ${MAX_NODES} steps`);
}

type Evaluate = (...args: unknown[]) => unknown;
const prototype = Interpreter.prototype as unknown as { evaluate: Evaluate };
const { evaluate } = prototype;
prototype.evaluate = function (this: unknown, ...args: unknown[]) {
  spend(1);
  const made = evaluate.apply(this, args);
  const text = (made as { value?: unknown } | undefined)?.value;
  if (typeof text === "string") spend(Math.floor(text.length / STEP_CHARACTERS));
  return made;
};

/** `range` of Jinja, which makes its numbers at once. */
function range(start: number, stop?: number | null, step = 1): number[] {
  const [from, to] = stop === undefined || stop === null ? [0, start] : [start, stop];
  if (step === 0) throw new Error("range() takes no step of 0");
  const count = Math.max(0, Math.ceil((to - from) / step));
  if (!(count <= MAX_RANGE)) throw new Error(`range() gives more than ${MAX_RANGE} numbers`);
  spend(count);
  return Array.from({ length: count }, (_, i) => from + i * step);
}

const environment = Environment.prototype as unknown as { set(name: string, value: unknown): unknown };
const { set } = environment;
environment.set = function (this: unknown, name: string, value: unknown) {
  return set.call(this, name, name === "range" ? range : value);
};

/** Renders within the budget. Throws an Error where it is spent, and what rendering throws. */
export function withinBudget(render: () => string): string {
  left = MAX_NODES;
  try {
    return render();
  } finally {
    left = Number.POSITIVE_INFINITY;
  }
}
