// Equality of two parsed answers of any shape.
import { TooMuchWork } from "./limits.ts";
import { type Node, type RelationOp, some } from "./node.ts";
import { print } from "./print.ts";
import { type Same, sameNumber, sameRatio, sideFactor } from "./same-number.ts";
import { finiteSet, isLine, joinedUnion, jointSet } from "./sets.ts";
import {
  asInterval,
  assignment,
  evaluateMatrix,
  expandPlusMinus,
  flipped,
  isName,
  subjectOf,
  withoutName,
} from "./shape.ts";
import { sameText } from "./texts.ts";

export interface SameOptions {
  /**
   * Also accept an inequality where the gold answer is a set. Off by default: a question that states its domain as an
   * inequality would be answered by repeating it.
   */
  relationForSet: boolean;
}

const MAX_ITEMS = 40;

const both = (a: Same, b: Same): Same =>
  a === "different" || b === "different"
    ? "different"
    : a === "unknown" || b === "unknown"
      ? "unknown"
      : "same";

function every(pairs: Iterable<Same>): Same {
  let all: Same = "same";
  for (const s of pairs) {
    all = both(all, s);
    if (all === "different") break;
  }
  return all;
}

class Comparison {
  constructor(private readonly options: SameOptions) {}

  same(goldNode: Node, answerNode: Node): Same {
    if (print(goldNode) === print(answerNode) && goldNode.t === answerNode.t && goldNode.t !== "unit")
      return "same";
    const [goldAll, answerAll] = [expandPlusMinus(goldNode), expandPlusMinus(answerNode)];
    const named = this.named(goldAll, answerAll) ?? this.joint(goldAll, answerAll);
    if (named) return named;
    const residues = congruent(goldNode, answerNode);
    if (residues) return residues;
    const member = (n: Node) => n.t === "relation" && n.ops[0] === "in";
    if (member(goldAll) || member(answerAll)) {
      const strip = (n: Node) => (member(n) ? withoutName(n) : n);
      return this.same(strip(goldAll), strip(answerAll));
    }
    if (
      goldAll.t === "relation" &&
      answerAll.t === "relation" &&
      !(assignment(goldAll) && assignment(answerAll))
    ) {
      return this.relations(goldAll, answerAll);
    }
    if (otherSubject(goldAll, answerAll)) return "different";
    if (this.equations(goldAll, answerAll)) return "same";
    const [gold, answer] = [this.plain(goldAll), this.plain(answerAll)];
    if (gold.t === "relation" || answer.t === "relation")
      return this.mixedRelation(
        gold,
        answer,
        goldAll.t === "union" && goldAll.parts.every((p) => p.t === "relation"),
      );
    if (gold.t === "text" || answer.t === "text") return sameText(gold, answer);
    if (gold.t === "union" || answer.t === "union") return this.unions(gold, answer);
    const coordinates = this.coordinates(gold, answer);
    if (coordinates) return coordinates;
    if (gold.t === "list" || answer.t === "list") return this.lists(gold, answer);
    if (gold.t === "matrix" || answer.t === "matrix") return this.matrices(gold, answer);
    if (gold.t === "tuple" || answer.t === "tuple") return this.tuples(gold, answer);
    if (gold.t === "ratio" || answer.t === "ratio") return this.ratios(gold, answer);
    return sameNumber(gold, answer);
  }

  private plain(node: Node): Node {
    const bare = evaluateMatrix(expandPlusMinus(withoutName(node)));
    if (isLine(bare)) return WHOLE_LINE;
    if (bare.t !== "union") return bare;
    return finiteSet(bare, (x, y) => this.same(x, y) === "same") ?? joinedUnion(bare) ?? bare;
  }

  /** x = 1, y = 2 is the point (1, 2): names in the order of the alphabet. */
  private coordinates(gold: Node, answer: Node): Same | undefined {
    const [point, list] = gold.t === "tuple" ? [gold, answer] : [answer, gold];
    if (point.t !== "tuple" || point.open !== "(" || point.close !== ")" || list.t !== "list")
      return undefined;
    const named = list.items.map(assignment);
    if (
      list.form !== "list" ||
      named.length !== point.items.length ||
      named.some((x) => !x || !/^[a-z]$/.test(x.name))
    )
      return undefined;
    const sorted = named.map((x) => x!).sort((x, y) => (x.name < y.name ? -1 : 1));
    if (new Set(sorted.map((x) => x.name)).size < sorted.length) return undefined;
    return every(point.items.map((x, i) => this.same(x, sorted[i]!.value)));
  }

  /** Lists of assignments go by name: x=1, y=2 is not x=2, y=1. */
  private named(gold: Node, answer: Node): Same | undefined {
    const items = (n: Node) => (n.t === "list" && n.form === "list" ? n.items : [n]);
    const [g, a] = [items(gold).map(assignment), items(answer).map(assignment)];
    if (g.length < 2 || g.length !== a.length || [...g, ...a].some((x) => !x || x.name === ""))
      return undefined;
    const names = (xs: typeof g) =>
      xs
        .map((x) => x!.name)
        .sort()
        .join();
    if (new Set(g.map((x) => x!.name)).size !== g.length || names(g) !== names(a)) return undefined;
    return every(g.map((x) => this.same(x!.value, a.find((y) => y!.name === x!.name)!.value)));
  }

  /** y = x and x = y: equations of two names state the same whichever of them is the subject. */
  private equations(gold: Node, answer: Node): boolean {
    if (gold.t !== "relation" || answer.t !== "relation") return false;
    const open = (n: Node) => some(n, (x) => x.t === "sym");
    const both = [gold, answer].every((n) => n.parts.length === 2 && n.ops[0] === "=" && n.parts.every(open));
    return both && this.relations(gold, answer) === "same";
  }

  /** Inequalities side by side describe one set, which an inequality or, for the gold answer, an interval may state too. */
  private joint(gold: Node, answer: Node): Same | undefined {
    const [g, a] = [jointSet(gold), jointSet(answer)];
    if (!g && !a) return undefined;
    if (g && a && this.unordered(itemsOf(gold), itemsOf(answer)) === "same") return "same";
    const subject = (n: Node) =>
      itemsOf(n)
        .map(subjectOf)
        .find((name) => name !== "") ?? "";
    const stated = (n: Node) =>
      n.t === "relation" || (n.t === "union" && n.parts.every((p) => p.t === "relation"));
    if ((a && !g && !stated(gold) && !this.options.relationForSet) || (stated(answer) && !g))
      return undefined;
    if ((g || stated(gold)) && (a || stated(answer)) && subject(gold) !== subject(answer)) return "different";
    const set = (n: Node): Node => (n.t === "relation" ? (asInterval(n) ?? n) : n);
    return this.same(g ?? set(gold), a ?? set(answer));
  }

  private relations(gold: Node & { t: "relation" }, answer: Node & { t: "relation" }): Same {
    const [g, a] = [asInterval(gold), asInterval(answer)];
    if (g && a) return subjectOf(gold) === subjectOf(answer) ? this.same(g, a) : "different";
    if (gold.parts.length === 2 && answer.parts.length === 2) {
      const [x, y] = [gold.ops[0]!, answer.ops[0]!];
      try {
        const sign = sideFactor(gold.parts[0]!, gold.parts[1]!, answer.parts[0]!, answer.parts[1]!);
        if (sign === 0) return "different";
        const expected: RelationOp | undefined = sign > 0 ? x : flipped(x);
        return expected === y || (x === "=" && y === "=") ? "same" : "different";
      } catch (error) {
        if (error instanceof TooMuchWork) return "unknown";
        throw error;
      }
    }
    if (gold.parts.length !== answer.parts.length) return "different";
    const straight = gold.ops.every((op, i) => op === answer.ops[i]);
    const reversed = gold.ops.every((op, i) => flipped(op) === answer.ops.at(-1 - i));
    if (!straight && !reversed) return "different";
    return every(
      gold.parts.map((p, i) => this.same(p, straight ? answer.parts[i]! : answer.parts.at(-1 - i)!)),
    );
  }

  private mixedRelation(gold: Node, answer: Node, statedAsRelations: boolean): Same {
    if (gold.t === "relation") {
      const set = asInterval(gold);
      return set && answer.t !== "relation" ? this.same(set, answer) : "different";
    }
    if (answer.t !== "relation") return "different";
    const set = asInterval(answer);
    return set && (this.options.relationForSet || statedAsRelations) ? this.same(gold, set) : "different";
  }

  private unions(gold: Node, answer: Node): Same {
    const parts = (n: Node): Node[] => (n.t === "union" && n.op === "union" ? n.parts : [n]);
    if ((gold.t === "union" && gold.op !== "union") || (answer.t === "union" && answer.op !== "union")) {
      if (gold.t !== "union" || answer.t !== "union" || gold.op !== answer.op) return "unknown";
      return every(
        gold.parts.map((p, i) => (answer.parts[i] ? this.same(p, answer.parts[i]!) : "different")),
      );
    }
    return this.unordered(parts(gold), parts(answer));
  }

  private lists(gold: Node, answer: Node): Same {
    const isList = (n: Node): n is Node & { t: "list" } => n.t === "list";
    if (isList(gold) && isList(answer)) {
      const clean = (n: Node & { t: "list" }) => shareName(n).map((item) => item);
      return this.unordered(clean(gold), clean(answer));
    }
    const [list, other] = isList(gold) ? [gold, answer] : [answer as Node & { t: "list" }, gold];
    if (other.t === "tuple") {
      // (1, 3) against "1, 3", {1, 3} or x = 1, y = 3: order counts; a set in \{ \} is something else.
      if (list.form === "set" || other.items.length !== list.items.length) return "different";
      const [g, a] = isList(gold) ? [list.items, other.items] : [other.items, list.items];
      return every(g.map((x, i) => this.same(x, a[i]!)));
    }
    if (list.items.length === 1)
      return isList(gold) ? this.same(list.items[0]!, answer) : this.same(gold, list.items[0]!);
    // The same value twice is that value; alternatives are not credited.
    return this.unordered(isList(gold) ? shareName(list) : [gold], isList(gold) ? [answer] : shareName(list));
  }

  private unordered(gold: readonly Node[], answer: readonly Node[]): Same {
    if (gold.length > MAX_ITEMS || answer.length > MAX_ITEMS) return "unknown";
    const [g, a] = [this.distinct(gold), this.distinct(answer)];
    if (g.length !== a.length) return "different";
    const left = [...a];
    let doubt = false;
    for (const x of g) {
      const verdicts = left.map((y) => this.same(x, y));
      const at = verdicts.indexOf("same");
      if (at >= 0) left.splice(at, 1);
      else if (verdicts.includes("unknown")) doubt = true;
      else return "different";
    }
    return doubt ? "unknown" : "same";
  }

  private distinct(items: readonly Node[]): Node[] {
    const out: Node[] = [];
    for (const item of items) if (!out.some((x) => this.same(x, item) === "same")) out.push(item);
    return out;
  }

  private tuples(gold: Node, answer: Node): Same {
    if (gold.t !== "tuple" || answer.t !== "tuple") return "different";
    if (gold.items.length !== answer.items.length) return "different";
    if (gold.items.length === 2 && (gold.open !== answer.open || gold.close !== answer.close))
      return "different";
    return every(gold.items.map((x, i) => this.same(x, answer.items[i]!)));
  }

  private matrices(gold: Node, answer: Node): Same {
    const rows = (n: Node): Node[][] | undefined =>
      n.t === "matrix" ? n.rows : n.t === "tuple" ? (nestedRows(n) ?? n.items.map((x) => [x])) : undefined;
    let [g, a] = [rows(gold), rows(answer)];
    if (!g || !a) return "different";
    // A row and a column state the same vector when one side is a plain tuple.
    const flat = (n: Node) => n.t === "tuple" && !nestedRows(n);
    if (flat(gold) || flat(answer)) [g, a] = [[g.flat()], [a.flat()]];
    if (g.length !== a.length || g.some((r, i) => r.length !== a[i]!.length)) return "different";
    if (g.flat().length > 100) return "unknown";
    return every(g.flat().map((x, i) => this.same(x, a.flat()[i]!)));
  }

  private ratios(gold: Node, answer: Node): Same {
    const parts = (n: Node): Node[] => (n.t === "ratio" ? n.parts : n.t === "div" ? [n.a, n.b] : [n, ONE]);
    return sameRatio(parts(gold), parts(answer));
  }
}

const itemsOf = (n: Node): readonly Node[] => (n.t === "list" ? n.items : n.t === "union" ? n.parts : [n]);

const WHOLE_LINE: Node = {
  t: "tuple",
  items: [
    { t: "neg", a: { t: "const", name: "inf" } },
    { t: "const", name: "inf" },
  ],
  open: "(",
  close: ")",
};
const ONE: Node = { t: "num", value: { p: 1n, q: 1n }, decimals: 0, digits: 1 };

/** [[1, 2], [3, 4]]: the rows of a matrix as programs write it. */
function nestedRows(n: Node & { t: "tuple" }): Node[][] | undefined {
  const rows = n.items.map((row) =>
    row.t === "tuple" && row.open === "[" && row.close === "]" ? row.items : undefined,
  );
  return n.open === "[" && rows.every((row) => row !== undefined) ? (rows as Node[][]) : undefined;
}

/** a = 4, −8, −10 lists values of a: the name stands before the first only. */
function shareName(list: Node & { t: "list" }): readonly Node[] {
  const [first, ...rest] = list.items;
  if (!first || rest.length === 0) return list.items;
  const assigned = assignment(first);
  if (!assigned || rest.some((x) => assignment(x))) return list.items;
  // (p, q) = (1, 2) and (2, 1): a name for every item.
  return [assigned.value, ...rest];
}

/** The mark of a derivative, or the function, of two names that differ: f''(x) = 2 is no f'(x) = 2. */
function otherSubject(gold: Node, answer: Node): boolean {
  const head = (n: Node): string | undefined => {
    const first = n.t === "relation" ? n.parts.find((p) => isName(p)) : undefined;
    if (first?.t === "call" && /^(?:[fghFGWP]|phi|varphi|psi)'*$/.test(first.fn)) return first.fn;
    if (first?.t === "call" && first.fn.endsWith("'")) return first.fn;
    const order = first && derivativeOrder(first);
    if (order) return `y${"'".repeat(order)}`;
    return first?.t === "sym" ? first.name : undefined;
  };
  const [g, a] = [head(gold), head(answer)];
  if (g === undefined || a === undefined || g === a) return false;
  const primes = (name: string) => name.length - name.replace(/'+$/, "").length;
  return primes(g) !== primes(a);
}

/** How often a derivative, alone or before its function, derives; 0 for others. */
function derivativeOrder(node: Node): number {
  const of = node.t === "mul" ? node.args[0]! : node;
  if (of.t !== "call" || of.fn !== "derivative") return 0;
  const head = of.args[0]!.t === "mul" ? of.args[0].args[0]! : of.args[0]!;
  if (head.t !== "pow") return 1;
  return head.b.t === "num" && head.b.value.q === 1n && head.b.value.p <= MAX_ORDER
    ? Number(head.b.value.p)
    : 1;
}
const MAX_ORDER = 9n;

/** Residues of one modulus; undefined where neither side is a congruence. */
function congruent(gold: Node, answer: Node): Same | undefined {
  const isMod = (n: Node): n is Node & { t: "call" } => n.t === "call" && n.fn === "mod";
  if (!isMod(gold) && !isMod(answer)) return undefined;
  if (!isMod(gold) || !isMod(answer)) return "unknown";
  const [a, m, x] = gold.args as [Node, Node, Node?];
  const [b, n, y] = answer.args as [Node, Node, Node?];
  if (x && y && print(x) !== print(y)) return "different";
  const [p, q] = [wholeNumber(a), wholeNumber(b)];
  if (m.t !== "num" || n.t !== "num" || p === undefined || q === undefined) return "unknown";
  return m.value.p === n.value.p && m.value.p > 0n && (p - q) % m.value.p === 0n ? "same" : "different";
}

function wholeNumber(n: Node): bigint | undefined {
  if (n.t === "neg") {
    const a = wholeNumber(n.a);
    return a === undefined ? undefined : -a;
  }
  return n.t === "num" && n.value.q === 1n ? n.value.p : undefined;
}

/** Whether an answer equals the gold answer; both parsed. */
export function sameParsed(gold: Node, answer: Node, options: SameOptions): Same {
  try {
    return new Comparison(options).same(gold, answer);
  } catch (error) {
    if (error instanceof TooMuchWork) return "unknown";
    throw error;
  }
}

/** Whether a node has symbols that a plain number has not: a unit that was read as a product. */
export const hasSymbols = (node: Node) => some(node, (n) => n.t === "sym") && !isName(node);
