// The environment `calculator`: exact arithmetic by a small evaluator; no program runs.
import {
  add,
  decimal,
  divide,
  isInteger,
  isZero,
  multiply,
  negate,
  power,
  type Rational,
  subtract,
  toNumber,
} from "../grader/rational.ts";
import type { Environment, EnvironmentKind, ToolCall } from "./definition.ts";

const MAX_CHARACTERS = 1000;
const MAX_EXPONENT = 1000n;

const TOKEN = /\s*(\d+(?:\.\d+)?|\.\d+|\*\*|[-+*/^()])/y;

function tokensOf(text: string): string[] {
  const tokens: string[] = [];
  TOKEN.lastIndex = 0;
  while (text.slice(TOKEN.lastIndex).trim() !== "") {
    const at = TOKEN.lastIndex;
    const match = TOKEN.exec(text);
    if (!match) throw new Error(`cannot read ${JSON.stringify(text.slice(at).trim().slice(0, 20))}`);
    tokens.push(match[1]!);
  }
  return tokens;
}

/** Sums of products of signed powers, by recursive descent; powers bind to the right. */
class Evaluator {
  private at = 0;

  constructor(private readonly tokens: readonly string[]) {}

  whole(): Rational {
    const value = this.sum();
    if (this.at < this.tokens.length) throw new Error(`unexpected ${this.tokens[this.at]}`);
    return value;
  }

  private take(...wanted: string[]): string | undefined {
    const token = this.tokens[this.at];
    if (token === undefined || !wanted.includes(token)) return undefined;
    this.at++;
    return token;
  }

  private sum(): Rational {
    let value = this.product();
    for (let op = this.take("+", "-"); op; op = this.take("+", "-"))
      value = (op === "+" ? add : subtract)(value, this.product());
    return value;
  }

  private product(): Rational {
    let value = this.signed();
    for (let op = this.take("*", "/"); op; op = this.take("*", "/")) {
      const right = this.signed();
      if (op === "/" && isZero(right)) throw new Error("division by zero");
      value = (op === "*" ? multiply : divide)(value, right);
    }
    return value;
  }

  private signed(): Rational {
    if (this.take("-")) return negate(this.signed());
    if (this.take("+")) return this.signed();
    const base = this.atom();
    if (!this.take("**", "^")) return base;
    const exponent = this.signed();
    const { p } = exponent;
    if (!isInteger(exponent) || p > MAX_EXPONENT || p < -MAX_EXPONENT)
      throw new Error(`an exponent is a whole number up to ${MAX_EXPONENT}`);
    if (isZero(base) && p < 0n) throw new Error("division by zero");
    return power(base, p);
  }

  private atom(): Rational {
    if (this.take("(")) {
      const value = this.sum();
      if (!this.take(")")) throw new Error("a bracket is open");
      return value;
    }
    const token = this.tokens[this.at++];
    if (token === undefined) throw new Error("the expression is not complete");
    if (!/\d/.test(token)) throw new Error(`unexpected ${token}`);
    return decimal(token);
  }
}

/** A terminating decimal in full, another fraction as p/q with its value to 12 digits. */
function written(x: Rational): string {
  if (isInteger(x)) return String(x.p);
  let [q, digits] = [x.q, 0];
  const strip = (f: bigint) => {
    let count = 0;
    for (; q % f === 0n; q /= f) count++;
    return count;
  };
  digits = Math.max(strip(2n), strip(5n));
  if (q !== 1n || digits > 30) return `${x.p}/${x.q} ≈ ${Number(toNumber(x).toPrecision(12))}`;
  const scaled = (x.p < 0n ? -x.p : x.p) * (10n ** BigInt(digits) / x.q);
  const text = scaled.toString().padStart(digits + 1, "0");
  return `${x.p < 0n ? "-" : ""}${text.slice(0, -digits)}.${text.slice(-digits)}`;
}

/** The value of an expression of numbers, + − * / ^ and brackets. Throws an Error that says what is wrong with it. */
export function calculate(expression: string): string {
  if (expression.length > MAX_CHARACTERS) throw new Error(`it has more than ${MAX_CHARACTERS} characters`);
  return written(new Evaluator(tokensOf(expression)).whole());
}

export const calculator: EnvironmentKind = {
  name: "calculator",
  open: (): Environment => ({
    name: "calculator",
    tools: [
      {
        name: "calculator",
        description: "Computes an expression of numbers with + - * / ^ and brackets, exactly.",
        parameters: {
          type: "object",
          properties: { expression: { type: "string", description: "e.g. (12+3)*4" } },
          required: ["expression"],
        },
      },
    ],
    reset: () => null,
    step: (state, call: ToolCall) => {
      const { expression } = call.arguments;
      if (typeof expression !== "string") throw new Error("calculator needs the argument expression, a text");
      return { state, output: calculate(expression.trim()) };
    },
    close() {},
  }),
};
