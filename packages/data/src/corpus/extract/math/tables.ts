// Tables of formulas: matrices, cases, aligned equations, arrays.
import type { MathNode } from "./node.ts";

const MATRICES: Record<string, string> = {
  "()": "pmatrix",
  "[]": "bmatrix",
  "||": "vmatrix",
  "∣∣": "vmatrix",
  "‖‖": "Vmatrix",
  "∥∥": "Vmatrix",
  "{}": "Bmatrix",
};

export interface Fences {
  open: string;
  /** Empty where there is none. */
  close: string;
}

type Latex = (node: MathNode) => string;

function cells(row: MathNode, latex: Latex): string {
  const kids = row.kids.filter((k) => k.name !== "#text" || k.text.trim() !== "");
  const labelled = row.name === "mlabeledtr";
  const body = (labelled ? kids.slice(1) : kids).map((k) => latex(k).trim()).join(" & ");
  if (!labelled || !kids[0]) return body;
  const label = latex(kids[0])
    .replace(/^\\text\{(.*)\}$/s, "$1")
    .replace(/^\((.*)\)$/s, "$1");
  return `${body} \\tag{${label}}`;
}

function columnsOf(table: MathNode): number {
  return Math.max(1, ...table.kids.map((r) => r.kids.length));
}

/** Letters of an array's columns with the lines between them. */
function arrayColumns(table: MathNode, align: string[], lines: string[]): string {
  let out = "";
  for (let i = 0; i < columnsOf(table); i++) {
    out += (align[Math.min(i, align.length - 1)] ?? "center")[0]!.replace(/[^lcr]/, "c");
    const line = lines[Math.min(i, lines.length - 1)] ?? "none";
    if (i < columnsOf(table) - 1 && line !== "none") out += line === "dashed" ? ":" : "|";
  }
  return out;
}

/** LaTeX of a table between fences, which are part of its environment where there is one of them. */
export function tableLatex(table: MathNode, fences: Fences | undefined, latex: Latex): string | undefined {
  const rows = table.kids.filter((k) => k.name !== "#text");
  const body = rows.map((r) => cells(r, latex)).join(" \\\\ ");
  const list = (name: string) => (table.attributes[name] ?? "").split(/\s+/).filter((x) => x !== "");
  const [align, lines] = [list("columnalign"), list("columnlines")];
  const lined = lines.some((l) => l !== "none");
  const wrap = (name: string, columns = "") =>
    `\\begin{${name}}${columns} ${body} \\end{${name}}`.replace(/ {2,}/g, " ");
  if (fences) {
    if (fences.open === "{" && fences.close === "") return wrap("cases");
    if (fences.open === "" && fences.close === "}") return wrap("rcases");
    const matrix = lined ? undefined : MATRICES[fences.open + fences.close];
    const plain = align.every((a) => a === "center");
    return matrix && plain ? wrap(matrix) : undefined;
  }
  if (lined || list("rowlines").some((l) => l !== "none"))
    return wrap("array", `{${arrayColumns(table, align, lines)}}`);
  const alternating = align.length > 1 && align.every((a, i) => a === (i % 2 === 0 ? "right" : "left"));
  if (alternating) return wrap("aligned");
  if (align.length === 1 && align[0] === "right" && columnsOf(table) > 1) return wrap("aligned");
  if (table.attributes.scriptlevel === "1") return wrap("smallmatrix");
  if (align.some((a) => a !== "center")) return wrap("array", `{${arrayColumns(table, align, lines)}}`);
  return wrap("matrix");
}
