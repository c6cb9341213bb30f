// A whole formula in LaTeX, with what only shows once all its tokens stand side by side.
import { latexOf } from "./latex.ts";
import type { MathNode } from "./node.ts";

/** Upright letters that were drawn one by one. */
const LETTERS = /(?:\\mathrm\{[A-Za-z]\}\s*){2,}/g;
/** (mod n) behind a congruence, whatever blanks were drawn around it. */
const MODULUS =
  /(?:\\[ ,;:]|\\quad|\\qquad|\s){0,8}\(\s*\\(?:mathrm|operatorname)\{mod\}(?:\\[ ,;:]|\s){0,8}([^()]{1,60})\)/g;

/** The LaTeX of a formula's tree. */
export function printed(node: MathNode): string {
  const tex = latexOf(node);
  if (!tex.includes("\\mathrm{") && !tex.includes("{mod}")) return tex;
  return tex
    .replace(LETTERS, (run) => `\\mathrm{${run.replace(/\\mathrm|[{}\s]/g, "")}}`)
    .replace(MODULUS, (_, modulus: string) => `\\pmod{${modulus.trim()}}`);
}
