// Kinds of answers that graders misread, each with many members.
import { expect, test } from "vitest";
import { compareAnswers, grade, sameAnswer } from "../src/index.ts";

const verdict = (answer: string, gold: string) => compareAnswers(answer, gold).verdict;
const RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹";
const LOWERED = "₀₁₂₃₄₅₆₇₈₉";
const raised = (n: number) => [...String(n)].map((d) => (d === "-" ? "⁻" : RAISED[Number(d)]!)).join("");

test("powers_written_with_small_characters_are_powers", () => {
  for (let base = 2; base <= 12; base++)
    for (let e = 2; e <= 9; e++) {
      const written = `${base}${raised(e)}`;
      expect(verdict(written, String(base ** e)), written).toBe("correct");
      expect(verdict(written, `${base}^${e}`)).toBe("correct");
      if (base ** e !== Number(`${base}${e}`))
        expect(verdict(written, `${base}${e}`), written).not.toBe("correct");
    }
  for (const e of [-1, -2, -3, 10, 12])
    expect(verdict(`10${raised(e)}`, e < 0 ? `1/${10 ** -e}` : `10^{${e}}`)).toBe("correct");
  for (let e = 2; e <= 12; e++) {
    expect(verdict(`x${raised(e)}`, `x^{${e}}`)).toBe("correct");
    expect(verdict(`x${raised(e)}`, `${e}x`)).not.toBe("correct");
  }
  for (const [c, value] of [
    ["½", "1/2"],
    ["¼", "0.25"],
    ["¾", "0.75"],
    ["⅓", "1/3"],
    ["⅘", "0.8"],
    ["2½", "2.5"],
    ["3¾", "15/4"],
  ])
    expect(verdict(c!, value!), c).toBe("correct");
});

test("indices_stay_indices_and_bases_count", () => {
  for (let i = 0; i < 10; i++) {
    expect(verdict(`x${LOWERED[i]}`, `x_${i}`)).toBe("correct");
    expect(verdict(`x${LOWERED[i]}`, `x${i}`)).not.toBe("correct");
  }
  for (let base = 2; base <= 9; base++)
    for (const n of [5, 9, 17, 38, 100]) {
      const digits = n.toString(base);
      expect(verdict(`${digits}_${base}`, String(n)), `${digits}_${base}`).toBe("correct");
      expect(verdict(`${digits}${LOWERED[base]}`, String(n))).toBe("correct");
      if (Number(digits) !== n) expect(verdict(`${digits}_${base}`, digits), digits).not.toBe("correct");
    }
  // The question says in which base: the gold answer's.
  expect(verdict("1010", "1010_2")).toBe("correct");
  expect(verdict("1010", "1010_3")).toBe("correct");
});

test("digits_of_every_script_are_digits", () => {
  const zeros: number[] = [];
  for (let code = 0x80; code < 0x20000; code++)
    if (/\p{Nd}/u.test(String.fromCodePoint(code))) {
      zeros.push(code);
      code += 9;
    }
  expect(zeros.length).toBeGreaterThan(50);
  for (const zero of zeros) {
    const written = [7, 2, 0, 9].map((d) => String.fromCodePoint(zero + d)).join("");
    expect(verdict(written, "7209"), written).toBe("correct");
    expect(verdict(written, "7208"), written).toBe("wrong");
    expect(grade(`... ${written}`, "7209", { fallback: "any" }).verdict, written).toBe("correct");
  }
  expect(verdict("٣٫٥", "3.5")).toBe("correct");
  expect(verdict("٥٠٪", "50\\%")).toBe("correct");
});

test("degrees_inside_functions_are_angles", () => {
  const values: [number, string, string, string][] = [
    [0, "0", "1", "0"],
    [30, "1/2", "\\frac{\\sqrt3}{2}", "\\frac{1}{\\sqrt3}"],
    [45, "\\frac{\\sqrt2}{2}", "\\frac{\\sqrt2}{2}", "1"],
    [60, "\\frac{\\sqrt3}{2}", "1/2", "\\sqrt3"],
    [120, "\\frac{\\sqrt3}{2}", "-1/2", "-\\sqrt3"],
    [180, "0", "-1", "0"],
  ];
  for (const [angle, ...right] of values)
    for (const [i, fn] of ["sin", "cos", "tan"].entries())
      for (const degree of ["^\\circ", "^{\\circ}", "°"]) {
        const written = `\\${fn} ${angle}${degree}`;
        expect(verdict(written, right[i]!), written).toBe("correct");
        expect(verdict(`\\${fn}(${angle}${degree})`, right[i]!), written).toBe("correct");
        if (angle > 0) expect(verdict(written, `\\${fn} ${angle}`), written).not.toBe("correct");
      }
  expect(verdict("30^\\circ", "30")).toBe("correct");
});

test("a_list_of_two_is_no_decimal", () => {
  for (let a = 0; a < 10; a++)
    for (let b = 1; b < 10; b++) {
      expect(verdict(`${a}.${b}`, `${a},${b}`), `${a},${b}`).not.toBe("correct");
      expect(verdict(`${a},${b}`, `${a}.${b}`), `${a}.${b}`).not.toBe("correct");
    }
});

test.each([..."mgsLhNVWJKCF"])("the_unit_%s_in_text_is_a_unit_behind_a_number_only", (unit) => {
  for (const command of ["text", "mathrm", "textrm"]) {
    expect(verdict("12", `12\\${command}{ ${unit}}`)).toBe("correct");
    expect(verdict(`12\\,\\${command}{${unit}}`, "12")).toBe("correct");
    expect(verdict(`\\frac{37}{4}\\${command}{ ${unit}}`, "37/4")).toBe("correct");
  }
  expect(verdict(`x\\text{ ${unit}}`, "x")).not.toBe("correct");
});

test.each([
  ["3000\\text{ g}", "3\\text{ kg}", true],
  ["2000\\text{ mL}", "2\\text{ L}", true],
  ["120\\text{ min}", "2\\text{ h}", true],
  ["25\\text{ cm}^3", "25\\text{ cm}^{2}", false],
  ["25\\text{ m}", "25\\text{ m}^2", false],
  ["10000\\text{ cm}^2", "1\\text{ m}^2", true],
  ["100\\text{ cm}^2", "1\\text{ m}^2", false],
  ["5 square cm", "5 cubic cm", false],
  ["18.90\\text{ cents}", "\\$18.90", false],
  ["1890\\text{ cents}", "\\$18.90", true],
  ["18.9", "\\$18.90", true],
  ["$18.90", "18.90 dollars", true],
  ["5 kg", "5 m", false],
] as const)("%s_for_%s: %s", (answer, gold, right) => expect(sameAnswer(answer, gold)).toBe(right));

test("repeating_decimals_are_their_fractions", () => {
  for (const period of [1, 2, 3, 4, 5, 6, 7, 8, 12, 36, 81, 142857]) {
    const p = String(period);
    const fraction = `\\frac{${p}}{${"9".repeat(p.length)}}`;
    for (const written of [
      `0.\\overline{${p}}`,
      `0.\\bar{${p}}`,
      `0.(${p})`,
      ...(p.length === 1 ? [`0.\\dot{${p}}`] : []),
    ])
      expect(verdict(written, fraction), written).toBe("correct");
    // Five digits are a rounding.
    if (p.length < 5) expect(verdict(`0.\\overline{${p}}`, `0.${p}`)).not.toBe("correct");
  }
  expect(verdict("0.\\dot{1}4285\\dot{7}", "1/7")).toBe("correct");
  expect(verdict("1.\\overline{6}", "5/3")).toBe("correct");
  expect(verdict("0.1\\dot{6}", "1/6")).toBe("correct");
  expect(verdict("33.\\overline{3}\\%", "1/3")).toBe("correct");
  expect(verdict("33\\frac13\\%", "1/3")).toBe("correct");
});

test("a_decimal_before_parentheses_is_a_product_or_a_repeating_decimal", () => {
  for (const [a, hundredths] of [
    ["0.5", 50],
    ["1.5", 150],
    ["3.5", 350],
    ["2.25", 225],
    ["12.75", 1275],
  ] as const)
    for (const b of [2, 4, 12, 30]) {
      const written = `${a}(${b})`;
      const product = `\\frac{${hundredths * b}}{100}`;
      expect(verdict(written, product), written).toBe("correct");
      expect(verdict(product, written), written).toBe("correct");
      expect(verdict(written, `${a}\\overline{${b}}`), written).toBe("correct");
      expect(verdict(written, `\\frac{${hundredths * b + 1}}{100}`), written).toBe("wrong");
      expect(verdict(`${written}+1`, `\\frac{${hundredths * b + 100}}{100}`), written).toBe("correct");
    }
  expect(verdict("3.5(2)", "7")).toBe("correct");
  expect(verdict("0.5(2)", "1")).toBe("correct");
  expect(verdict("0.1(6)", "1/6")).toBe("correct");
  expect(verdict("3.5(2.5)", "8.75")).toBe("correct");
  expect(verdict("3.5(2)^2", "14")).toBe("correct");
  // Nothing stands before the parentheses to be multiplied.
  expect(verdict("0.(3)", "0")).toBe("wrong");
});

test.each([
  // Primes.
  ["7'", "7", false],
  ["f''(x)=2", "f'(x)=2", false],
  ["f'(x)=2", "f(x)=2", false],
  ["y''", "y'", false],
  ["f'(x)=2x", "f'(x)=2x", true],
  // Choices with their values.
  ["\\textbf{(C)}\\ 5", "5", true],
  ["\\text{(B) } 13", "13", true],
  ["(D) \\frac12", "0.5", true],
  ["(D) 6", "5", false],
  ["(C)", "C", true],
  ["(A) -2", "-2", true],
  ["\\text{(A)}-2", "-2", true],
  ["2", "(C) 2", true],
  ["(C) 2.0", "(C) 2", true],
  ["(B) 2", "(C) 2", false],
  ["The answer is (B) 2", "(C) 2", false],
  ["The answer is (C) 2", "2", true],
  ["(A)-2", "A-2", true],
  ...["-2", "+2", "2", "\\sqrt{2}", "\\frac12", " - 2", " + 2", "\\pi", " \\pm 2"].map(
    (value) => [`(A)${value}`, value.replace(/^ /, ""), false] as const,
  ),
  // Forms.
  ["{5 \\choose 2}", "10", true],
  ["1'000", "1000", true],
  ["1'000'000", "1000000", true],
  ["]1,2[", "(1,2)", true],
  ["]1,2]", "(1,2]", true],
  ["[1,2[", "[1,2]", false],
  ["\\begin{aligned} x &= 1 \\\\ y &= 2 \\end{aligned}", "(1,2)", true],
  ["\\begin{align*} y &= 2 \\\\ x &= 1 \\end{align*}", "(2,1)", false],
  ["\\sfrac{1}{2}", "0.5", true],
  ["\\nicefrac{3}{4}", "0.75", true],
  ["\\textcolor{red}{12}", "12", true],
  ["{\\color{blue} 12}", "12", true],
  ["\\underline{12}", "12", true],
  ["7\\\\", "7", true],
  ["\\langle 1,2\\rangle", "(1,2)", true],
  ["\\begin{pmatrix}1\\\\2\\end{pmatrix}", "\\langle 1,2\\rangle", true],
  // Sets.
  ["{1,3} \\cup {2,4}", "\\{1,2,3,4\\}", true],
  ["\\{1,2\\} \\cap \\{2,3\\}", "\\{2\\}", true],
  ["\\{1,2,3\\} \\setminus \\{2\\}", "\\{1,3\\}", true],
  ["[1,2]\\cup[2,3]", "[1,3]", true],
  ["[1,2)\\cup(2,3]", "[1,3]", false],
  ["[1,2)\\cup[2,3]", "[1,3]", true],
  ["(0,5)\\cup[1,2]", "(0,5)", true],
  ["(-\\infty,-1)\\cup(1,\\infty)", "x<-1 \\text{ or } x>1", true],
  ["(-\\infty,-1]\\cup(1,\\infty)", "x<-1 \\text{ or } x>1", false],
  ["(-\\infty,1)\\cup(-1,\\infty)", "x<-1 \\text{ or } x>1", false],
  ["y>3", "x>3", false],
  ["x>3", "x>3", true],
  ["3<x", "x>3", true],
  // Equations are claims.
  ["3=5", "5", false],
  ["1=2=3=4=5", "5", false],
  ["2+3=5", "5", true],
  // Words.
  ["\\text{does not exist}", "\\text{DNE}", true],
  ["\\emptyset", "\\text{no solution}", true],
  ["\\text{no real solutions}", "\\varnothing", true],
  ["\\text{does not exist}", "\\text{no solution}", false],
  ["0", "\\text{no solution}", false],
  ["5 million", "5", false],
  ["5 million", "5000000", true],
  ["5 dozen", "60", true],
  ["9", "9 (apples)", true],
  ["9 (pears)", "9", true],
  ["9 (wrong)", "9", false],
  ["N", "n", false],
  // Found by fuzzing the golds of public problems.
  ["63.509e-7", "3.509e-7", false],
  ["3.5090e-7", "3.509e-7", true],
  ["(A, 7)", "A", false],
  ["B not", "B", false],
  ["B is wrong", "B", false],
  ["\\frac{40}{3}=a'", "\\frac{40}{3}=a", false],
  ["11.6 \\mathrm{lb} / \\mathrm{in}^{8}", "11.6 \\mathrm{lb} / \\mathrm{in}^{2}", false],
] as const)("%s_for_%s: %s", (answer, gold, right) => expect(sameAnswer(answer, gold)).toBe(right));

test.each([
  ["\\boxed{9}\n#### Notes", "9"],
  ["\\boxed{9}\n\n#### Verification\nWe check 9=9.", "9"],
  ["#### 9\n\n#### Verification\nAll is well.", "9"],
  ["\\boxed{8}\n#### 9", "9"],
  ["The answer is 72, in total, so the farmer earns that much.", "72"],
  ["The final answer is 13 because 6+7=13.", "13"],
  ["The answer is 5, which is prime.", "5"],
  ["The answer is 12 (see above).", "12"],
  ["So the correct option is B", "B"],
  ["The correct choice is B because A is wrong.", "B"],
  ["答：小明有 7 个苹果。", "7"],
])("the_answer_of_%j_is_%s", (completion, gold) => expect(grade(completion, gold).verdict).toBe("correct"));

test.each([
  ["The answer is 42, not 41.", "41"],
  ["The answer is 41, no, 42.", "41"],
  ["The answer is 41, but that is wrong.", "41"],
  ["<answer>3 = 7</answer>", "7"],
])("%j_does_not_answer_%s", (completion, gold) =>
  expect(grade(completion, gold).verdict).not.toBe("correct"),
);

test("runs_of_one_sign_take_no_way_that_grows_with_their_square", () => {
  for (const sign of ["*", " ", "\n", "$", "\\(", "\\", "{", "#", ".", "答案", "final answer "]) {
    const run = sign.repeat(2_000_000 / sign.length);
    for (const fallback of ["none", "latex", "any"] as const)
      for (const text of [`${run}x`, `The answer is 42${run}`]) grade(text, "42", { fallback });
  }
}, 60_000);
