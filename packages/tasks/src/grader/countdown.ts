// Judges countdown answers: an expression of the given numbers, each used exactly once, that comes to the target.
import type { Comparison } from "./grade.ts";
import { TooMuchWork, Unreadable } from "./limits.ts";
import type { Node } from "./node.ts";
import { parseAnswer } from "./parse.ts";
import { add, divide, multiply, negate, type Rational, rational, toNumber } from "./rational.ts";

export interface CountdownGoal {
  numbers: readonly number[];
  target: number;
}

/** Value of an expression of +, −, ×, ÷ over whole numbers, which are collected; nothing else has one. */
function evaluate(node: Node, used: number[]): Rational {
  switch (node.t) {
    case "num":
      if (node.decimals > 0) throw new Unreadable("a decimal");
      used.push(toNumber(node.value));
      return node.value;
    case "add":
    case "mul": {
      const values = node.args.map((a) => evaluate(a, used));
      return values.reduce(node.t === "add" ? add : multiply);
    }
    case "neg":
      return negate(evaluate(node.a, used));
    case "div":
      return divide(evaluate(node.a, used), evaluate(node.b, used));
    default:
      throw new Unreadable("more than numbers and + − × ÷");
  }
}

const same = (a: Rational, b: Rational) => a.p === b.p && a.q === b.q;

/** Compares an answer such as `3*8-5` or `3*8-5=19` with the goal. Never throws; bounded work. */
export function checkCountdown(answer: string, goal: CountdownGoal): Comparison {
  const used: number[] = [];
  let value: Rational;
  try {
    const tree = parseAnswer(answer).readings[0]!;
    const target = rational(goal.target);
    if (tree.t === "relation") {
      const [left, right] = tree.parts as [Node, Node];
      if (tree.parts.length !== 2 || tree.ops[0] !== "=") throw new Unreadable("not one equation");
      if (!same(evaluate(right, []), target)) return { verdict: "wrong", why: "another target" };
      value = evaluate(left, used);
    } else value = evaluate(tree, used);
    if (!same(value, target)) return { verdict: "wrong", why: `it does not come to ${goal.target}` };
  } catch (error) {
    if (error instanceof Unreadable || error instanceof TooMuchWork)
      return { verdict: "unknown", why: error.message };
    throw error;
  }
  const sorted = (xs: readonly number[]) => [...xs].sort((a, b) => a - b).join();
  return sorted(used) === sorted(goal.numbers)
    ? { verdict: "correct", why: "it comes to the target" }
    : { verdict: "wrong", why: "it does not use each number once" };
}
