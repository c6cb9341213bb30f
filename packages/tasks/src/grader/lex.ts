// Splits a cleaned answer into tokens: numbers, symbols, commands, words, signs.
import { Unreadable } from "./limits.ts";
import { REALS } from "./node.ts";
import { isUnitWord, spelledUnits } from "./units.ts";

export type Token =
  | { t: "num"; text: string }
  | { t: "sym"; name: string }
  | { t: "cmd"; name: string }
  | { t: "word"; text: string; bare: boolean }
  | { t: "op"; text: string }
  /** Between items: `or` where only alternatives are joined so. */
  | { t: "and"; or?: true };

const MAX_TOKENS = 400;

/** Names that are functions in plain text too. */
export const functionNames = new Set(
  "sin cos tan cot sec csc arcsin arccos arctan asin acos atan sinh cosh tanh ln log lg exp sqrt abs max min gcd lcm floor ceil det".split(
    " ",
  ),
);
const greek = new Set(
  "alpha beta gamma delta epsilon varepsilon zeta eta theta iota kappa lambda mu nu xi rho sigma tau upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Sigma Phi Psi Omega ell".split(
    " ",
  ),
);
const textCommands = new Set(
  "text textbf textit textrm textnormal mathrm mathbf mathit mathbb mathcal mbox operatorname hbox bold".split(
    " ",
  ),
);
/** Units of one letter, which are variables unless they stand as text behind a value. */
const letterUnits = new Set([..."mgsLlhNVWJKCFAT"]);
const plainOps = "+-*/^_(){}[]|,;:<>=!%&'";

const powerOfUnit = /^[a-zA-Z]{1,12}\^(?:\d|\{\d\})$/;

/** End of the balanced group that opens at `at`; the text's end when it never closes. */
export function groupEnd(s: string, at: number): number {
  let depth = 0;
  for (let i = at; i < s.length; i++) {
    if (s[i] === "\\") i++;
    else if (s[i] === "{") depth++;
    else if (s[i] === "}" && --depth === 0) return i;
  }
  return s.length;
}

const digits = /\d/;
const isLetter = (c: string) => (c >= "a" && c <= "z") || (c >= "A" && c <= "Z");

class Lexer {
  tokens: Token[] = [];
  private brackets = 0;
  constructor(
    private readonly s: string,
    private readonly depth: number,
  ) {}

  private push(token: Token): void {
    if (this.tokens.length >= MAX_TOKENS) throw new Unreadable("the answer is too long");
    this.tokens.push(token);
  }

  run(): Token[] {
    const { s } = this;
    let i = 0;
    while (i < s.length) {
      const c = s[i]!;
      if (c === " ") i++;
      else if (digits.test(c) || (c === "." && digits.test(s[i + 1] ?? ""))) i = this.number(i);
      else if (c === "\\") i = this.command(i);
      else if (isLetter(c)) i = this.letters(i);
      else if (plainOps.includes(c)) i = this.operator(i);
      else if (c === ".") i++;
      else if (/\p{L}/u.test(c)) i = this.foreign(i);
      else throw new Unreadable(`unexpected ${JSON.stringify(c)}`);
    }
    return this.tokens;
  }

  private number(start: number): number {
    const { s } = this;
    let i = start;
    while (digits.test(s[i] ?? "")) i++;
    if (i - start > 1200) throw new Unreadable("the number is too long");
    let text = s.slice(start, i);
    const thousands =
      this.brackets === 0 && i - start <= 3 && s[start] !== "0"
        ? /^(?:,\d{3})+(?!\d)/.exec(s.slice(i, i + 80))
        : null;
    const spaced =
      i - start <= 3 && s[start] !== "0" && this.brackets === 0
        ? /^(?: \d{3})+(?![\d/])/.exec(s.slice(i, i + 80))
        : null;
    const group = thousands ?? spaced;
    if (group) {
      text += group[0].replace(/[, ]/g, "");
      i += group[0].length;
    }
    if (s[i] === "." && /^\.\\(?:overline|dot|bar)(?![a-z])/.test(s.slice(i, i + 12))) {
      // 0.\overline{3}: the period begins behind the point.
      text += ".";
      i++;
    } else if (s[i] === "." && digits.test(s[i + 1] ?? "")) {
      const from = i++;
      while (digits.test(s[i] ?? "")) i++;
      text += s.slice(from, i);
    } else if (s[i] === "." && !/[a-zA-Z.]/.test(s[i + 1] ?? "")) i++;
    const exponent = /^[eE][+-]?\d{1,4}(?![\d.a-zA-Z])/.exec(s.slice(i, i + 8));
    this.push({ t: "num", text: exponent ? text + exponent[0].toLowerCase() : text });
    return i + (exponent?.[0].length ?? 0);
  }

  private command(start: number): number {
    const { s } = this;
    const match = /^[a-zA-Z]+/.exec(s.slice(start + 1, start + 33));
    if (!match) {
      const c = s[start + 1] ?? "";
      if (c === "{" || c === "}") this.push({ t: "op", text: `\\${c}` });
      else if (c === "|") this.push({ t: "op", text: "|" });
      else if (c === "%") this.push({ t: "op", text: "%" });
      else if (c === "\\") this.push({ t: "op", text: "\\\\" });
      else if (c !== "" && !"&#_".includes(c)) throw new Unreadable(`unexpected \\${c}`);
      if (c === "{") this.brackets++;
      if (c === "}") this.brackets--;
      return start + 2;
    }
    let name = match[0];
    // \quadx_2 and \pir are written without the space.
    const glued = /^(q?quad|pi|cdot|times|pm)(?=[a-zA-Z])/.exec(name);
    if (glued && !/^(?:pmatrix|pmod|pitchfork|pmb)/.test(name)) name = glued[1]!;
    const end = start + 1 + name.length;
    // A box holds an expression: its braces are a group.
    if (name === "quad" || name === "qquad" || name === "boxed") return end;
    if (name === "mathbb") {
      const reals = /^\s*(?:\{\s*R\s*\}|R(?![a-zA-Z]))/.exec(s.slice(end, end + 12));
      if (reals) {
        this.push({ t: "sym", name: REALS });
        return end + reals[0].length;
      }
    }
    if (textCommands.has(name)) return this.text(end, /^math/.test(name));
    if (greek.has(name)) this.push({ t: "sym", name });
    else if (name === "lbrace" || name === "rbrace")
      this.push({ t: "op", text: name === "lbrace" ? "\\{" : "\\}" });
    else this.push({ t: "cmd", name });
    return end;
  }

  /** The group of a \text command: a separator, an expression, or words. */
  private text(at: number, font: boolean): number {
    const { s } = this;
    let start = at;
    while (s[start] === " ") start++;
    if (s[start] !== "{") return start;
    const end = groupEnd(s, start);
    const inner = s.slice(start + 1, end).trim();
    if (/^,?\s*(?:and|or|,)$/i.test(inner))
      this.push(/or/i.test(inner) ? { t: "and", or: true } : { t: "and" });
    else if (inner === "" || this.depth > 3) return end + 1;
    else if (/^[a-zA-Z]$/.test(inner)) {
      // 12\text{ m} is a length, x\text{m} none.
      const unit = this.isAfterValue() && letterUnits.has(inner);
      this.push(unit ? { t: "word", text: inner, bare: false } : { t: "sym", name: inner });
    }
    // 5\text{ cm^3}: a unit with its power.
    else if (this.isAfterValue() && powerOfUnit.test(inner) && isUnitWord(inner.replace(/\^.*/, ""))) {
      this.push({ t: "word", text: inner.replace(/\^.*/, ""), bare: false });
      this.push({ t: "op", text: "^" });
      this.push({ t: "num", text: inner.replace(/\D/g, "") });
    }
    // \operatorname{lcm} is the function, wherever it is no remark behind a value.
    else if (functionNames.has(inner) && !this.isAfterValue()) this.push({ t: "cmd", name: inner });
    // \mathrm{gb} is a product of letters in another font, \mathrm{cm} a unit.
    else if (font && /^[a-zA-Z]{2,3}$/.test(inner) && !isUnitWord(inner) && !functionNames.has(inner)) {
      for (const c of inner) this.push({ t: "sym", name: c });
    } else if (/^[\d\\({[+-]/.test(inner) || inner.length === 1 || /[=^]/.test(inner)) {
      this.push({ t: "op", text: "{" });
      for (const token of new Lexer(inner, this.depth + 1).run()) this.push(token);
      this.push({ t: "op", text: "}" });
    } else this.push({ t: "word", text: inner.replace(/[.,;]+$/, ""), bare: false });
    return end + 1;
  }

  private isAfterValue(): boolean {
    const last = this.tokens.at(-1);
    return (
      last !== undefined && (last.t === "num" || (last.t === "op" && ")}]%".includes(last.text.at(-1)!)))
    );
  }

  private letters(start: number): number {
    const { s } = this;
    let i = start;
    while (i < s.length && isLetter(s[i]!)) i++;
    const run = s.slice(start, i);
    const lower = run.toLowerCase();
    const last = this.tokens.at(-1);
    const afterValue = this.isAfterValue();
    const glued = /^(and|or)(?=[A-Z])/.exec(run);
    if (glued && last) {
      this.push(glued[0] === "or" ? { t: "and", or: true } : { t: "and" });
      return start + glued[0].length;
    }
    const perUnit = last?.t === "op" && last.text === "/" && this.tokens.at(-2)?.t === "word";
    if (lower === "or") this.push({ t: "and", or: true });
    else if (lower === "and") this.push({ t: "and" });
    else if (
      (afterValue || perUnit) &&
      run.length > 1 &&
      s[i] !== "(" &&
      (isUnitWord(run) || (s[start - 1] === " " && spelledUnits.has(run)))
    )
      this.push({ t: "word", text: run, bare: true });
    else if (lower === "pi") this.push({ t: "cmd", name: "pi" });
    else if (lower === "inf" || lower === "infinity" || run === "oo") this.push({ t: "cmd", name: "infty" });
    else if (functionNames.has(lower) && run.length > 1) this.push({ t: "cmd", name: lower });
    else if (run.length === 1) this.push({ t: "sym", name: run });
    else if (
      run.length >= 3 &&
      (/[aeiouy]/i.test(run.slice(0, 12)) || run.length > 6) &&
      !/^[A-Z]+$/.test(run)
    )
      this.push({ t: "word", text: run, bare: true });
    else if (
      run.length === 2 &&
      s[start - 1] === " " &&
      s[i] !== "(" &&
      /^(?:is|of|to|at|no|on|by)$/.test(run)
    )
      this.push({ t: "word", text: run, bare: true });
    else for (const c of run) this.push({ t: "sym", name: c });
    return i;
  }

  private foreign(start: number): number {
    let i = start;
    while (i < this.s.length && /[\p{L}\p{M}]/u.test(this.s[i]!) && !isLetter(this.s[i]!)) i++;
    const run = this.s.slice(start, Math.max(i, start + 1));
    if (/^(?:或|或者)$/.test(run)) this.push({ t: "and", or: true });
    else if (/^[和且与]$/.test(run)) this.push({ t: "and" });
    else this.push({ t: "word", text: run, bare: true });
    return start + run.length;
  }

  private operator(start: number): number {
    const { s } = this;
    const two = s.slice(start, start + 2);
    // 5!=120 begins with a factorial.
    const factorial = two === "!=" && this.tokens.length === 1 && /\d/.test(s[start - 1] ?? "");
    if (factorial) {
      this.push({ t: "op", text: "!" });
      return start + 1;
    }
    if (two === "<=" || two === ">=" || two === "!=" || two === "==" || two === "**") {
      this.push({ t: "op", text: two === "==" ? "=" : two === "**" ? "^" : two });
      return start + 2;
    }
    const c = s[start]!;
    if ("([".includes(c)) this.brackets++;
    if (")]".includes(c)) this.brackets--;
    this.push({ t: "op", text: c });
    return start + 1;
  }
}

/** Tokens of a cleaned answer. Throws Unreadable. */
export function tokenize(clean: string): Token[] {
  return new Lexer(clean, 0).run();
}
