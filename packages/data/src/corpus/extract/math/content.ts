// Content MathML as Presentation MathML: operators applied to arguments, written as mathematicians write them.
import { type MathNode, mathNode, row, token } from "./node.ts";

const NAMES = new Set([
  "apply",
  "ci",
  "cn",
  "csymbol",
  "lambda",
  "matrix",
  "vector",
  "set",
  "list",
  "interval",
  "piecewise",
  "declare",
  "reln",
]);
const CONSTANTS: Record<string, string> = {
  pi: "π",
  exponentiale: "e",
  imaginaryi: "i",
  eulergamma: "γ",
  infinity: "∞",
  emptyset: "∅",
  true: "true",
  false: "false",
  reals: "ℝ",
  integers: "ℤ",
  rationals: "ℚ",
  naturalnumbers: "ℕ",
  complexes: "ℂ",
  primes: "ℙ",
};
/** Operators between their arguments, and how weakly they bind. */
const INFIX: Record<string, [string, number]> = {
  eq: ["=", 1],
  neq: ["≠", 1],
  gt: [">", 1],
  lt: ["<", 1],
  geq: ["≥", 1],
  leq: ["≤", 1],
  equivalent: ["≡", 1],
  approx: ["≈", 1],
  in: ["∈", 1],
  notin: ["∉", 1],
  subset: ["⊆", 1],
  prsubset: ["⊂", 1],
  tendsto: ["→", 1],
  implies: ["⇒", 0],
  and: ["∧", 0],
  or: ["∨", 0],
  plus: ["+", 2],
  minus: ["−", 2],
  union: ["∪", 2],
  intersect: ["∩", 2],
  setdiff: ["∖", 2],
  times: ["", 3],
  vectorproduct: ["×", 3],
  scalarproduct: ["⋅", 3],
  compose: ["∘", 3],
};
const BIG: Record<string, string> = { sum: "∑", product: "∏", int: "∫", limit: "lim" };
const QUALIFIERS = new Set([
  "bvar",
  "lowlimit",
  "uplimit",
  "degree",
  "logbase",
  "condition",
  "domainofapplication",
]);

export function isContentMath(node: MathNode): boolean {
  return NAMES.has(node.name);
}

const mo = (text: string): MathNode => token("mo", text, { stretchy: "false" });
const around = (node: MathNode): MathNode => row([mo("("), node, mo(")")]);

function separated(nodes: MathNode[], mark: string): MathNode[] {
  return nodes.flatMap((n, i) => (i === 0 ? [n] : mark === "" ? [n] : [mo(mark), n]));
}

/** How weakly the outermost operator of a made node binds; 9 for what needs no parentheses. */
const strength = (node: MathNode): number => Number(node.attributes["data-binds"] ?? 9);

function infix(name: string, args: MathNode[]): MathNode {
  const [mark, binds] = INFIX[name]!;
  const wrapped = args.map((a, i) =>
    strength(a) < binds || (name === "minus" && i > 0 && strength(a) === binds) ? around(a) : a,
  );
  const numbers = mark === "" && wrapped.some((w, i) => i > 0 && w.name === "mn");
  const kids = args.length === 1 ? [mo(mark), ...wrapped] : separated(wrapped, numbers ? "⋅" : mark);
  return mathNode("mrow", kids, { "data-binds": String(args.length === 1 ? 2 : binds) });
}

const qualifier = (node: MathNode, name: string): MathNode | undefined => {
  const found = node.kids.find((k) => k.name === name);
  return found ? row(found.kids) : undefined;
};

function big(name: string, node: MathNode, args: MathNode[]): MathNode {
  const variable = qualifier(node, "bvar");
  const [low, high] = [qualifier(node, "lowlimit"), qualifier(node, "uplimit")];
  const sign = name === "limit" ? token("mi", "lim") : token("mo", BIG[name]!);
  const below =
    name === "int" || !variable
      ? low
      : low
        ? row([variable, mo(name === "limit" ? "→" : "="), low])
        : (qualifier(node, "condition") ?? variable);
  const kids = [sign, below ?? mathNode("mrow"), ...(high ? [high] : [])];
  const head = high ? mathNode("munderover", kids) : below ? mathNode("munder", kids) : sign;
  const end =
    name === "int" && variable
      ? [token("mspace", "", { width: "0.1667em" }), token("mi", "d"), variable]
      : [];
  return mathNode("mrow", [name === "int" && high ? mathNode("msubsup", kids) : head, ...args, ...end], {
    "data-binds": "2",
  });
}

function derivative(name: string, node: MathNode, args: MathNode[]): MathNode {
  const d = () => token("mi", name === "diff" ? "d" : "∂");
  const bvar = node.kids.find((k) => k.name === "bvar");
  const degree = bvar?.kids.find((k) => k.name === "degree");
  const variable = row((bvar?.kids ?? []).filter((k) => k.name !== "degree"));
  const power = (n: MathNode) => (degree ? mathNode("msup", [n, row(degree.kids)]) : n);
  const body = args[0] ?? mathNode("mrow");
  return row([
    mathNode("mfrac", [power(d()), row([d(), power(variable)])]),
    strength(body) < 3 ? around(body) : body,
  ]);
}

function applied(operator: MathNode, args: MathNode[]): MathNode {
  const known: Record<string, string> = {
    ln: "ln",
    arcsin: "arcsin",
    arccos: "arccos",
    arctan: "arctan",
    determinant: "det",
  };
  const name = operator.text || known[operator.name] || operator.name;
  const head = operator.kids.length > 0 || operator.name === "mi" ? operator : token("mi", name);
  const one =
    args.length === 1 &&
    [...(args[0]!.text ?? "")].length === 1 &&
    head.name === "mi" &&
    /^[a-z]{2,}$/.test(name);
  if (one) return row([head, args[0]!]);
  return row([head, mo("("), ...separated(args, ","), mo(")")]);
}

function apply(node: MathNode): MathNode {
  const [operator, ...rest] = node.kids;
  if (!operator) return mathNode("mrow");
  const args = rest.filter((k) => !QUALIFIERS.has(k.name));
  const name = operator.name;
  const [a = mathNode("mrow"), b] = args;
  if (INFIX[name]) return infix(name, args);
  if (BIG[name]) return big(name, node, args);
  switch (name) {
    case "divide":
      return mathNode("mfrac", [a, b ?? mathNode("mrow")]);
    case "power":
      return mathNode("msup", [strength(a) < 9 ? around(a) : a, ...(b ? [b] : [])]);
    case "root": {
      const degree = qualifier(node, "degree");
      return degree && degree.text.trim() !== "2" ? mathNode("mroot", [a, degree]) : mathNode("msqrt", [a]);
    }
    case "log": {
      const base = qualifier(node, "logbase");
      const log = token("mi", "log");
      return applied(base ? mathNode("msub", [log, base]) : log, args);
    }
    case "exp":
      return mathNode("msup", [token("mi", "e"), a]);
    case "abs":
      return row([mo("|"), a, mo("|")]);
    case "floor":
      return row([mo("⌊"), a, mo("⌋")]);
    case "ceiling":
      return row([mo("⌈"), a, mo("⌉")]);
    case "factorial":
      return row([strength(a) < 9 ? around(a) : a, mo("!")]);
    case "not":
      return row([mo("¬"), a]);
    case "transpose":
      return mathNode("msup", [a, token("mi", "T")]);
    case "inverse":
      return mathNode("msup", [a, row([mo("−"), token("mn", "1")])]);
    case "conjugate":
      return mathNode("mover", [a, mo("¯")]);
    case "diff":
    case "partialdiff":
      return derivative(name, node, args);
    case "selector":
      return mathNode("msub", [a, row(separated(args.slice(1), ","))]);
    default:
      return applied(operator, args);
  }
}

function number(node: MathNode): MathNode {
  const parts = node.kids.filter((k) => k.name === "#text").map((k) => token("mn", k.text));
  if (/rational/.test(node.attributes.type ?? "") && parts.length === 2) return mathNode("mfrac", parts);
  return token("mn", node.text || parts.map((p) => p.text).join(""));
}

/** Presentation of a content element whose children are presentation already. */
export function contentMath(node: MathNode): MathNode {
  const kids = node.kids.filter((k) => k.name !== "#text");
  switch (node.name) {
    case "ci":
    case "csymbol":
      return node.kids.length > 0 ? row(node.kids) : token("mi", node.text.trim());
    case "cn":
      return number(node);
    case "apply":
    case "reln":
      return apply({ ...node, kids: kids.map(constant) });
    case "interval": {
      const closure = node.attributes.closure ?? "closed";
      const open = /^(?:open|open-closed)$/.test(closure) ? "(" : "[";
      const close = /^(?:open|closed-open)$/.test(closure) ? ")" : "]";
      return row([mo(open), ...separated(kids.map(constant), ","), mo(close)]);
    }
    case "set":
      return row([mo("{"), ...separated(kids.map(constant), ","), mo("}")]);
    case "list":
    case "vector":
      return row([mo("("), ...separated(kids.map(constant), ","), mo(")")]);
    case "matrix":
      return row([
        mo("("),
        mathNode(
          "mtable",
          kids.map((r) =>
            mathNode(
              "mtr",
              r.kids.map((c) => mathNode("mtd", [constant(c)])),
            ),
          ),
        ),
        mo(")"),
      ]);
    default:
      return row(kids.map(constant));
  }
}

/** An empty element that is a constant. */
function constant(node: MathNode): MathNode {
  const text = node.kids.length === 0 && node.text === "" ? CONSTANTS[node.name] : undefined;
  return text === undefined ? node : token("mi", text);
}
