// Writes one expression in many ways that change nothing but its spelling: a small grammar of LaTeX and plain text.
import { type Node, parseExpression } from "./parsed.ts";

/** Draws a number below n; the same for the same seed. */
function chooser(seed: number): (n: number) => number {
  let state = (seed * 2654435761 + 12345) >>> 0;
  return (n) => {
    state = (Math.imul(state ^ (state >>> 15), 2246822519) + 3266489917) >>> 0;
    return ((state ^ (state >>> 13)) >>> 0) % n;
  };
}

class Speller {
  private readonly draw: (n: number) => number;
  constructor(
    seed: number,
    private readonly latex: boolean,
  ) {
    this.draw = chooser(seed);
  }

  private one<T>(...ways: T[]): T {
    return ways[this.draw(ways.length)]!;
  }

  private shuffled<T>(items: readonly T[]): T[] {
    const left = [...items];
    return items.map(() => left.splice(this.draw(left.length), 1)[0]!);
  }

  private group(text: string): string {
    return this.latex ? this.one(`\\left(${text}\\right)`, `(${text})`, `(${text})`) : `(${text})`;
  }

  /** A text that binds as tightly as a factor. */
  private factor(node: Node): string {
    const text = this.write(node);
    return node.t === "add" || node.t === "neg" || (node.t === "div" && !text.startsWith("\\"))
      ? this.group(text)
      : text;
  }

  private base(node: Node): string {
    return node.t === "sym" || (node.t === "num" && node.value.q === 1n)
      ? this.write(node)
      : this.group(this.write(node));
  }

  write(node: Node): string {
    switch (node.t) {
      case "num":
        return node.value.q === 1n ? `${node.value.p}` : `${Number(node.value.p) / Number(node.value.q)}`;
      case "sym":
        return node.name;
      case "add":
        return this.sum(node.args);
      case "neg":
        return `-${this.factor(node.a)}`;
      case "mul":
        return this.product(node.args);
      case "div":
        return this.quotient(node.a, node.b);
      case "pow":
        return this.power(node.a, node.b);
      case "root":
        return this.root(node.a);
      default:
        throw new Error(`no spelling for ${node.t}`);
    }
  }

  private sum(args: readonly Node[]): string {
    const space = this.one("", " ");
    return this.shuffled(args)
      .map((term, i) => {
        const negative = term.t === "neg";
        const text = negative ? this.factor(term.a) : this.write(term);
        return i === 0 ? (negative ? "-" : "") + text : `${space}${negative ? "-" : "+"}${space}${text}`;
      })
      .join("");
  }

  private product(args: readonly Node[]): string {
    // Numbers first, so that factors may stand side by side.
    const sign = this.latex ? this.one("", "\\cdot ", "\\times ", "*") : this.one("*", " * ", "·");
    const order = this.shuffled(args);
    const texts = order.map((n, i) => {
      const text = this.factor(n);
      return sign === "" && (n.t === "pow" || (i > 0 && /^\d/.test(text))) ? this.group(text) : text;
    });
    return texts.join(sign);
  }

  private quotient(a: Node, b: Node): string {
    const [over, under] = [this.write(a), this.write(b)];
    const line = `${this.factor(a)}${this.one("/", " / ", "÷")}${this.base(b)}`;
    if (!this.latex) return line;
    return this.one(
      `\\frac{${over}}{${under}}`,
      `\\dfrac{${over}}{${under}}`,
      `\\tfrac{${over}} {${under}}`,
      line,
    );
  }

  private power(a: Node, b: Node): string {
    const [base, script] = [this.base(a), this.write(b)];
    const short = /^\d$/.test(script) ? `${base}^${script}` : `${base}^{${script}}`;
    return this.latex
      ? this.one(`${base}^{${script}}`, short)
      : this.one(`${base}^(${script})`, `${base}**(${script})`);
  }

  private root(a: Node): string {
    const text = this.write(a);
    const power = `${this.base(a)}^`;
    if (!this.latex) return this.one(`sqrt(${text})`, `√(${text})`, `${power}(1/2)`, `${power}0.5`);
    return this.one(
      `\\sqrt{${text}}`,
      `\\sqrt {${text}}`,
      `\\sqrt[2]{${text}}`,
      `${power}{1/2}`,
      `${power}{\\frac{1}{2}}`,
      `${power}{0.5}`,
    );
  }
}

/** Ways of putting an expression into an answer that leave it as it is. */
const frames: ((e: string) => string)[] = [
  (e) => e,
  (e) => `$${e}$`,
  (e) => `\\(${e}\\)`,
  (e) => `(${e})`,
  (e) => `{${e}}`,
  (e) => `\\boxed{${e}}`,
  (e) => `y = ${e}`,
  (e) => `f(t) = ${e}`,
  (e) => `  ${e} .`,
];

/** Ways of wrapping an expression that change its value by nothing. */
const wrappings: ((e: string) => string)[] = [
  (e) => `-(-(${e}))`,
  (e) => `--(${e})`,
  (e) => `+(${e})`,
  (e) => `(${e}) + 0`,
  (e) => `1 \\cdot (${e})`,
  (e) => `\\frac{${e}}{1}`,
  (e) => `(${e})^1`,
  (e) => `${e} = ${e}`,
  (e) => `(${e}) \\text{ cm}`,
  (e) => `${e}, ${e}`,
  (e) => `(${e}) + 7 - 7`,
  (e) => `\\frac{3(${e})}{3}`,
  (e) => `\\frac{(${e}) t}{t}`,
  (e) => `(-1)(-1)(${e})`,
];

function distinct(texts: Iterable<string>, count: number): string[] {
  const found = new Set<string>();
  for (const text of texts) {
    found.add(text);
    if (found.size === count) return [...found];
  }
  throw new Error(`only ${found.size} spellings`);
}

function* endless(node: Node, around: readonly ((e: string) => string)[]): Generator<string> {
  for (let seed = 0; seed < 4000; seed++)
    yield around[seed % around.length]!(new Speller(seed, seed % 3 !== 0).write(node));
}

/** Spellings of an expression in a frame: as good an answer as the expression itself. */
export const respelled = (expression: string, count: number) =>
  distinct(endless(parseExpression(expression), frames), count);

/** Spellings of an expression that a copier might try, with what changes nothing put around it. */
export const disguised = (expression: string, count: number) =>
  distinct(endless(parseExpression(expression), [...frames, ...wrappings]), count);
