// Answers with work left in them: what is finite and cheap is worked out, all else is left open, and none is read as a value.
import { expect, test } from "vitest";
import { compareAnswers } from "../src/index.ts";

const verdict = (answer: string, gold: string) => compareAnswers(answer, gold).verdict;

test("finite_sums_and_integrals_are_worked_out_and_others_left_open", () => {
  for (let n = 1; n <= 40; n++) {
    expect(verdict(String((n * (n + 1)) / 2), `\\sum_{k=1}^{${n}} k`)).toBe("correct");
    expect(verdict(String((n * (n + 1)) / 2 + 1), `\\sum_{k=1}^{${n}} k`)).toBe("wrong");
  }
  expect(verdict("120", "\\prod_{k=1}^5 k")).toBe("correct");
  expect(verdict("1/2", "\\int_0^1 x\\,dx")).toBe("correct");
  expect(verdict("8/3", "\\int_0^2 x^2\\,dx")).toBe("correct");
  expect(verdict("62", "\\int_1^3 (3x^2-2x+x^3)\\,dx")).toBe("wrong");
  expect(verdict("38", "\\int_1^3 (3x^2-2x+x^3)\\,dx")).toBe("correct");
  for (const open of [
    "\\sum_{k=1}^{\\infty} \\frac{1}{k^2}",
    "\\int_0^1 e^{x}\\,dx",
    "\\sum_{k=1}^{n} k",
    "\\prod_{p} p",
    "\\sum_{k=1}^{10^9} k",
  ])
    expect(verdict("5", open), open).toBe("unknown");
});

test.each([
  ["\\sum_{k=1}^{10} k", "55"],
  ["\\prod_{k=1}^{5} k", "120"],
  ["\\int_0^2 x\\,dx", "2"],
  ["\\det\\begin{pmatrix}12&18\\\\2&4\\end{pmatrix}", "12"],
  ["x = \\sum_{k=1}^{10} k", "55"],
  ["\\{1, \\sum_{k=1}^{2} k\\}", "\\{1, 3\\}"],
] as const)("%s_is_equal_to_%s_but_no_answer_where_a_value_is_asked_for", (answer, gold) => {
  expect(verdict(answer, gold)).toBe("correct");
  for (const form of ["value", "number"] as const)
    expect(compareAnswers(answer, gold, { form }).verdict, form).toBe("wrong");
  // A gold answer that is such an expression is met by its own text.
  expect(compareAnswers(answer, answer, { form: "value" }).verdict).toBe("correct");
});

/** Ways to write the derivative of a function of x, and how often it derives. */
const DERIVATIVES: [(body: string) => string, number][] = [
  [(f) => `\\frac{d}{dx} ${f}`, 1],
  [(f) => `\\frac{d}{dx}(${f})`, 1],
  [(f) => `\\dfrac{d}{dx}\\left(${f}\\right)`, 1],
  [(f) => `\\frac{d^2}{dx^2} ${f}`, 2],
  [(f) => `\\frac{d^{2}}{dx^{2}}(${f})`, 2],
  [(f) => `\\frac{\\mathrm{d}}{\\mathrm{d}x} ${f}`, 1],
  [(f) => `d/dx ${f}`, 1],
  [(f) => `d/dx(${f})`, 1],
];
/** A function, its derivatives, and what it is when d and x are read as factors that cancel. */
const FUNCTIONS: [string, string, string, string][] = [
  ["x^2", "2x", "2", "x"],
  ["x^3", "3x^2", "6x", "x^2"],
  ["x", "1", "0", "1"],
  ["x^4", "4x^3", "12x^2", "x^3"],
  ["5x", "5", "0", "5"],
  ["x^{10}", "10x^9", "90x^8", "x^9"],
  ["7", "0", "0", "7/x"],
];

test("derivatives_are_no_fractions_and_are_left_open_until_they_are_stated", () => {
  let members = 0;
  for (const [write, order] of DERIVATIVES)
    for (const [f, first, second, cancelled] of FUNCTIONS) {
      members++;
      const [written, right] = [write(f), order === 1 ? first : second];
      expect(verdict(written, right), written).toBe("unknown");
      expect(verdict(right, written), written).toBe("unknown");
      expect(verdict(written, cancelled), written).toBe("unknown");
      expect(verdict(`${written} = ${right}`, right), written).toBe("correct");
      if (cancelled !== right) expect(verdict(`${written} = ${cancelled}`, right), written).toBe("wrong");
    }
  expect(members).toBe(56);
});

test.each([
  ["\\frac{dy}{dx} = 2x", "2x", "correct"],
  ["2x", "\\frac{dy}{dx}=2x", "correct"],
  ["dy/dx = 2x", "2x", "correct"],
  ["\\frac{d^2y}{dx^2} = 6x", "6x", "correct"],
  ["\\frac{dy}{dx} = 2x", "y' = 2x", "correct"],
  ["y = 2x", "\\frac{dy}{dx} = 2x", "wrong"],
  ["\\frac{d^2y}{dx^2} = 2x", "\\frac{dy}{dx} = 2x", "wrong"],
  // The letter d in fractions of other kinds.
  ["\\frac{ad}{bd}", "a/b", "correct"],
  ["\\frac{d}{2x}", "d/(2x)", "correct"],
  ["\\frac{d}{d+x}", "1 - \\frac{x}{d+x}", "correct"],
] as const)("%s_for_%s_is_%s", (answer, gold, right) => expect(verdict(answer, gold)).toBe(right));

/** Functions of numbers whose values are computed here by other means. */
const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b));
test("divisors_extremes_and_determinants_are_worked_out", () => {
  for (const [a, b] of [
    [12, 18],
    [35, 64],
    [100, 75],
    [17, 51],
    [270, 192],
  ] as const) {
    const [g, l] = [gcd(a, b), (a * b) / gcd(a, b)];
    for (const [written, value, other] of [
      [`\\gcd(${a},${b})`, g, g + 1],
      [`\\operatorname{lcm}(${a}, ${b})`, l, a * b + 1],
      [`\\max(${a},${b})`, Math.max(a, b), Math.min(a, b)],
      [`\\min\\{${a},${b}\\}`, Math.min(a, b), Math.max(a, b)],
      [`\\det\\begin{pmatrix}${a}&${b}\\\\2&3\\end{pmatrix}`, 3 * a - 2 * b, 3 * a + 2 * b],
      [`\\begin{vmatrix}1&${b}&0\\\\0&${a}&4\\\\5&0&2\\end{vmatrix}`, 2 * a + 20 * b, 2 * a - 20 * b],
    ] as const) {
      expect(verdict(written, String(value)), written).toBe("correct");
      expect(verdict(written, String(other)), written).toBe("wrong");
      expect(verdict(`${written} = ${value}`, String(value)), written).toBe("correct");
      expect(verdict(`${written} = ${other}`, String(other)), written).toBe("wrong");
      expect(compareAnswers(written, String(value), { form: "value" }).verdict, written).toBe("wrong");
    }
  }
  expect(verdict("\\begin{vmatrix}a&b\\\\c&d\\end{vmatrix}", "ad-bc")).toBe("correct");
  expect(verdict("\\begin{vmatrix}a&b\\\\c&d\\end{vmatrix}", "ad+bc")).toBe("wrong");
  expect(verdict("\\gcd(n, 18)", "6")).toBe("unknown");
  for (const font of ["operatorname", "mathrm", "text", "textrm"])
    for (const [name, value] of [
      ["gcd", 6],
      ["lcm", 36],
      ["max", 18],
      ["min", 12],
    ] as const)
      expect(verdict(`\\${font}{${name}}(12, 18)`, String(value)), `${font} ${name}`).toBe("correct");
});

test.each([
  ["\\log_2 8 = 3", "3", "correct"],
  ["\\log_2 8 = 4", "4", "wrong"],
  ["\\sin 30^\\circ = \\frac12", "1/2", "correct"],
  ["\\sin 30^\\circ = 1", "1", "wrong"],
  ["|-3| = 3", "3", "correct"],
  ["|-3| = -3", "-3", "wrong"],
  ["5!=120", "120", "correct"],
  ["5!=121", "121", "wrong"],
  ["\\binom{5}{2} = 10", "10", "correct"],
  ["\\lfloor 2.5 \\rfloor = 2", "2", "correct"],
  ["\\lfloor 2.5 \\rfloor = 3", "3", "wrong"],
  ["\\int_0^1 e^x\\,dx = e-1", "e-1", "correct"],
  ["\\int_0^1 x\\,dx = 7", "7", "wrong"],
  ["\\sum_{k=1}^{n} k = \\frac{n(n+1)}{2}", "n(n+1)/2", "correct"],
  ["x != 3", "3", "wrong"],
] as const)("the_claim_%s_for_%s_is_%s", (answer, gold, right) => expect(verdict(answer, gold)).toBe(right));
