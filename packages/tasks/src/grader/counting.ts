// Words that count: 3 dozen is 36, 1.5 million is 1,500,000, three tenths are 0.3.
import { Unreadable } from "./limits.ts";
import type { Node } from "./node.ts";
import { add, divide, multiply, type Rational, rational } from "./rational.ts";

/** Words that multiply the number before them. Quarters, scores, seconds and grosses are more often things. */
const counting: Record<string, Rational> = {
  __proto__: null as never,
  pair: rational(2),
  dozen: rational(12),
  hundred: rational(100),
  thousand: rational(1000),
  million: rational(1_000_000),
  billion: rational(1_000_000_000),
  trillion: rational(1_000_000_000_000),
  half: rational(1, 2),
  halves: rational(1, 2),
  halve: rational(1, 2),
  third: rational(1, 3),
  fifth: rational(1, 5),
  sixth: rational(1, 6),
  eighth: rational(1, 8),
  tenth: rational(1, 10),
  hundredth: rational(1, 100),
  thousandth: rational(1, 1000),
  millionth: rational(1, 1_000_000),
  双: rational(2),
  对: rational(2),
  打: rational(12),
};

/** `million dollar` as its factor and the unit behind it; the factor is undefined where no counting word begins it. */
export function countingFactor(unit: string): { factor: Rational | undefined; unit: string } {
  const words = unit.split(" ");
  let factor: Rational | undefined;
  while (words.length > 0) {
    const word = words[0]!;
    const one = counting[word] ?? (word.endsWith("s") ? counting[word.slice(0, -1)] : undefined);
    // 5 fifth graders are five, 3 fifths of a cup are not.
    if (!one || (one.q !== 1n && words[1] !== undefined && words[1] !== "of")) break;
    factor = factor ? multiply(factor, one) : one;
    words.shift();
  }
  if (factor && words[0] === "of") words.shift();
  return { factor, unit: words.join(" ") };
}

const countingWord = new RegExp(`(?<![\\p{L}])(?:${Object.keys(counting).join("|")})s?(?![\\p{L}])`, "giu");

/** The answer without the counting words that the question asks in: 3 of "3 dozen" where it asks how many dozen. */
export function withoutAskedCount(answer: string, question: string): string {
  return answer.replace(countingWord, (word) => {
    const stem = word.toLowerCase().replace(/s$/, "");
    const asked = new RegExp(
      `(?:how many|number of|\\bin|nearest|多少|几)\\s*(?:\\p{L}+\\s+){0,4}${stem}s?(?![\\p{L}])`,
      "iu",
    );
    return asked.test(question) ? " " : word;
  });
}

/** 3 dozen and 1.5 million are numerals, -2 dozen is one with its sign; 2 + 3 dozen leaves open what the word counts. */
export function counted(a: Node, factor: Rational): Node {
  if (a.t === "num") {
    const value = multiply(a.value, factor);
    return { t: "num", value, decimals: value.q === 1n ? 0 : a.decimals, digits: a.digits };
  }
  if (a.t === "neg") return { t: "neg", a: counted(a.a, factor) };
  if (a.t === "add" && !a.literal) throw new Unreadable("a counting word behind a sum");
  const value = a.t === "add" || a.t === "div" ? constantOfNumeral(a) : undefined;
  if (value) return counted({ t: "num", value, decimals: 0, digits: 1 }, factor);
  return { t: "mul", args: [a, { t: "num", value: factor, decimals: 0, digits: 1 }] };
}

/** The number of a written fraction or mixed number. */
function constantOfNumeral(node: Node): Rational | undefined {
  if (node.t === "num") return node.value;
  if (node.t === "add" && node.literal) {
    const parts = node.args.map(constantOfNumeral);
    return parts.every((x) => x !== undefined) ? parts.reduce((x, y) => add(x!, y!)) : undefined;
  }
  const [p, q] = node.t === "div" ? [constantOfNumeral(node.a), constantOfNumeral(node.b)] : [];
  return p && q && q.p !== 0n ? divide(p, q) : undefined;
}
