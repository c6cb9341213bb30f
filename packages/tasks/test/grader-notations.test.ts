// Notations of one value that answers are written in: each kind made from numbers, with near misses beside the right ones.
import { expect, test } from "vitest";
import { compareAnswers, extractAnswer, grade } from "../src/index.ts";

const credited = (answer: string, gold: string) => compareAnswers(answer, gold).verdict === "correct";

/** Expects the answer to be right for the first gold and for none of the others. */
function expectOnly(answer: string, gold: string, ...others: string[]): void {
  expect(credited(answer, gold), `${answer} for ${gold}`).toBe(true);
  for (const other of others) expect(credited(answer, other), `${answer} for ${other}`).toBe(false);
}

test.each([
  ["mile", "feet", 5280],
  ["yd", "ft", 3],
  ["feet", "inches", 12],
  ["lb", "oz", 16],
  ["gallons", "quarts", 4],
  ["quarts", "pints", 2],
  ["pints", "cups", 2],
  ["km", "dm", 10_000],
  ["m", "mm", 1000],
  ["centuries", "years", 100],
  ["decades", "months", 120],
  ["weeks", "hours", 168],
  ["hectares", "square meters", 10_000],
  ["acres", "square feet", 43_560],
  ["cubic feet", "cubic inches", 1728],
  ["square yards", "square feet", 9],
  ["liters", "cubic centimeters", 1000],
  ["L", "cm^3", 1000],
  ["kJ", "J", 1000],
  ["MW", "kW", 1000],
  ["GHz", "MHz", 1000],
  ["kPa", "Pa", 1000],
  ["km/h", "km/min", 1 / 60],
  ["miles per hour", "miles/minute", 1 / 60],
  ["m/s", "km/h", 3.6],
  ["ft/s", "inches per second", 12],
])("an_amount_in_%s_is_another_in_%s", (large, small, factor) => {
  for (const amount of [1, 3, 15, 60]) {
    const other =
      factor < 1
        ? `\\frac{${amount}}{${Math.round(1 / factor)}}`
        : String(Number((amount * factor).toFixed(4)));
    for (const [x, y] of [
      [`${amount}\\text{ ${large}}`, `${other}\\text{ ${small}}`],
      [`${other} \\text{ ${small}}`, `${amount} \\text{ ${large}}`],
    ] as const)
      expectOnly(
        x,
        y,
        y.replace(/\d+/, (n) => String(Number(n) + 1)),
      );
    expect(credited(`${amount}\\text{ ${large}}`, `${amount}\\text{ ${small}}`)).toBe(false);
  }
});

test("amounts_of_two_units_are_their_sum", () => {
  for (let a = 1; a < 8; a++)
    for (const b of [8, 9, 11]) {
      expectOnly(`${a} ft ${b} in`, `${12 * a + b} inches`, `${12 * b + a} inches`);
      expectOnly(`${a} h ${b} min`, `${60 * a + b} minutes`, `${60 * a - b} minutes`);
      expectOnly(`${a} hours ${b} minutes`, `${60 * a + b} min`, `${a + b} min`);
    }
});

test("degrees_go_with_minutes_seconds_radians_and_temperatures", () => {
  for (let d = 1; d < 60; d += 6) {
    expectOnly(`${d}^\\circ 30'`, `${d}.5^\\circ`, `${d}.3^\\circ`, `${d}`);
    expectOnly(`${d}°15′36″`, `${d}.26^{\\circ}`, `${d}.25^\\circ`);
    expectOnly(`${d}^\\circ`, `\\frac{${d}\\pi}{180}\\text{ radians}`, `${d}\\text{ radians}`);
    expectOnly(`${d}°C`, `${d}\\text{ degrees Celsius}`, `${d}°F`, `${d + 1}^\\circ\\text{C}`);
    expectOnly(`${d}^o`, `${d}º`, `${d + 1}^\\circ`);
  }
});

test("sets_of_real_numbers_have_many_writings", () => {
  for (const [a, b] of [
    [-3, 2],
    [0, 7],
    [1, 4],
    [-8, -5],
  ] as const) {
    const inside = `(${a},${b})`;
    for (const written of [
      `\\{x \\mid ${a} < x < ${b}\\}`,
      `\\{x : x > ${a}, x < ${b}\\}`,
      `\\{ t\\in\\mathbb{R} \\mid ${a}<t<${b} \\}`,
      `(-\\infty,${b})\\cap(${a},\\infty)`,
      `(${a},${b}]\\setminus\\{${b}\\}`,
      `]${a},${b}[`,
    ])
      expectOnly(written, inside, `[${a},${b}]`, `(${a},${b + 1})`, `(${a},${b}]`);
    for (const written of [`x > ${a} and x < ${b}`, `x<${b}, x>${a}`, `${a}<x, x<${b}`])
      expectOnly(written, `${a}<x<${b}`, `${a}\\le x<${b}`, `${a}<y<${b}`, `x>${a}`);
    const outside = `(-\\infty,${a})\\cup(${b},\\infty)`;
    for (const written of [`\\mathbb{R}\\setminus[${a},${b}]`, `\\{x | x<${a} \\text{ or } x>${b}\\}`])
      expectOnly(written, outside, inside, `(-\\infty,${a}]\\cup(${b},\\infty)`);
    expectOnly(`x<${a}, x>${b}`, `x<${a} \\text{ or } x>${b}`, `x>${b}`);
    expectOnly(`\\mathbb{R} - \\{${a}\\}`, `(-\\infty,${a})\\cup(${a},\\infty)`, "\\mathbb{R}", `\\{${a}\\}`);
  }
  for (let c = 1; c < 6; c++) {
    expectOnly(`|x|<${c}`, `-${c}<x<${c}`, `-${c}\\le x\\le ${c}`, `x<${c}`);
    expectOnly(`x<-${c} or x>${c}`, `|x|>${c}`, `|x|<${c}`);
    expectOnly(`[${c - 2},${c + 2}]`, `|x-${c}|\\le 2`, `|x+${c}|\\le 2`, `|x-${c}|<2`);
  }
  for (const all of ["all real numbers", "\\text{all reals}", "(-\\infty,\\infty)", "every real number"])
    expectOnly(all, "\\mathbb{R}", "\\mathbb{R}\\setminus\\{0\\}", "(0,\\infty)", "R", "\\emptyset");
  expect(credited("all real numbers except 2", "\\mathbb{R}")).toBe(false);
});

test("bases_have_letters_words_and_prefixes", () => {
  const words = ["two", "three", "four", "five", "six", "seven", "eight", "nine"];
  for (let base = 2; base < 10; base++) {
    const digits = (base * base + 1).toString(base);
    for (const written of [
      `${digits}_{\\text{${words[base - 2]}}}`,
      `${digits} (base ${base})`,
      `${digits} base ${words[base - 2]}`,
    ])
      expectOnly(written, `${digits}_{${base}}`, `${digits}_{${base + 1}}`, String(base * base + 2));
  }
  for (let base = 11; base <= 36; base++) {
    const n = 10 + 7 * base;
    const digits = n.toString(base).toUpperCase();
    for (const written of [
      `${digits}_{${base}}`,
      `\\text{${digits}}_{${base}}`,
      `\\mathrm{${digits}}_${base < 10 ? base : `{${base}}`}`,
    ])
      expectOnly(written, String(n), String(n + 1), `${digits}_{${base + 1}}`);
  }
  for (const n of [5, 10, 255, 4097]) {
    expectOnly(`0x${n.toString(16)}`, String(n), String(n + 1));
    expectOnly(`0b${n.toString(2)}`, `${n.toString(2)}_2`, String(n + 1));
  }
});

test("residues_are_equal_by_their_modulus", () => {
  for (let m = 3; m < 12; m++)
    for (const a of [1, 2, m - 1]) {
      expectOnly(
        `x \\equiv ${a + m} \\pmod{${m}}`,
        `x\\equiv ${a}\\pmod ${m}`,
        `x\\equiv ${a + 1}\\pmod{${m}}`,
        `x\\equiv ${a}\\pmod{${m + 1}}`,
      );
      expectOnly(`${a - m} (mod ${m})`, `${a} \\pmod{${m}}`, `${a}`);
    }
});

test("vectors_and_matrices_are_written_by_axes_brackets_and_transposed", () => {
  for (let a = -3; a < 4; a++)
    for (const b of [5, 7]) {
      if (a === 0) continue;
      for (const [open, close] of [
        ["\\mathbf{", "}"],
        ["\\vec{", "}"],
        ["\\hat{\\", "math}"],
      ])
        expectOnly(
          `${a}${open}i${close} + ${b}${open}j${close}`,
          `\\langle ${a}, ${b}\\rangle`,
          `(${b},${a})`,
          `(${a},-${b})`,
          `(${a},${b},0)`,
        );
      expectOnly(
        `[[${a},${b}],[0,1]]`,
        `\\begin{pmatrix}${a}&${b}\\\\[2pt]0&1\\end{pmatrix}`,
        `\\begin{pmatrix}${b}&${a}\\\\0&1\\end{pmatrix}`,
      );
      expectOnly(
        `\\begin{bmatrix}${a}&${b}\\\\0&1\\end{bmatrix}^T`,
        `\\begin{pmatrix}${a}&0\\\\${b}&1\\end{pmatrix}`,
        `\\begin{pmatrix}${a}&${b}\\\\0&1\\end{pmatrix}`,
      );
    }
});

test("digits_in_groups_of_other_habits", () => {
  for (const n of [1_234_567, 9_000_001, 45_678_901, 1_000_000]) {
    const digits = String(n);
    const grouped = (mark: string) => digits.replace(/\B(?=(\d{3})+$)/g, mark);
    const indian = digits.replace(/\B(?=(\d{2})*(\d{3})$)/g, ",");
    for (const written of [grouped("."), grouped("_"), grouped("'"), grouped(" "), grouped(","), indian])
      expectOnly(written, digits, String(n + 1), digits.slice(0, -3));
  }
  for (const n of [1000, 2001, 10_050]) {
    const pair = String(n).replace(/(\d{3})$/, ",$1");
    expectOnly(`(${pair})`, String(n), `(${pair.replace(/,0+/, ",")})`);
  }
  expectOnly("(1,234)", "(1, 234)", "1234");
  expectOnly("2.5 x 10^3", "2500", "2.5");
  expectOnly("2.5 x 10^-3", "0.0025", "2500");
});

test("shares_in_words", () => {
  const names = ["third", "quarter", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"];
  const numbers = ["one", "two", "three", "four", "five"];
  for (const [i, name] of names.entries())
    for (const [j, count] of numbers.entries()) {
      const [p, q] = [j + 1, i + 3];
      const share = `${count} ${name}${p > 1 ? "s" : ""}`;
      expectOnly(share, `\\frac{${p}}{${q}}`, `\\frac{${p}}{${q + 1}}`);
      expectOnly(
        `two and ${share.replace(" ", "-")}`,
        `\\frac{${2 * q + p}}{${q}}`,
        "2",
        `\\frac{${p}}{${q}}`,
      );
    }
  expectOnly("three and a half", "3.5", "3", "0.5");
  expectOnly("fifty percent", "50\\%", "5\\%");
  expectOnly("3 out of 4", "\\frac34", "3");
  expectOnly("1 to 2", "1:2", "2:1", "1");
  expect(credited("two and three", "5")).toBe(false);
});

test("an_answer_under_a_condition_is_no_answer", () => {
  for (let n = 2; n < 60; n += 3) {
    expect(extractAnswer(`The answer would be ${n} if x was ${n + 1}.`).text).not.toBe(`${n}`);
    expect(extractAnswer(`If x was ${n + 1}, the answer would be ${n}.`).text).not.toBe(`${n}`);
    expect(extractAnswer(`So the answer would be ${n}.`).text).toBe(`${n}`);
  }
});

test("counts_of_choices_by_their_letters", () => {
  for (let n = 2; n < 8; n++)
    for (let k = 1; k < n; k++) {
      const count = [...Array(k).keys()].reduce((c, i) => (c * (n - i)) / (i + 1), 1);
      for (const written of [`{}_${n}C_${k}`, `{}_{${n}}C_{${k}}`, `^{${n}}C_{${k}}`])
        expectOnly(written, String(count), String(count + 1));
    }
  expectOnly("{}_5P_2", "20", "10");
});

test.each([
  ["does not exist", "DNE", "no solution"],
  ["None", "no solution", "DNE"],
  ["no real roots", "no real solutions", "infinitely many"],
  ["infinitely many", "infinitely many solutions", "\\infty"],
  ["not possible", "impossible", "possible"],
  ["on Tuesday", "Tuesday", "Thursday"],
  ["an ellipse", "ellipse", "a circle"],
  ["Alice and Bob", "Bob, Alice", "Alice"],
  ["\\triangle ABC", "triangle ABC", "triangle ABD"],
  ["\\angle ABC", "∠CBA", "∠ACB"],
  ["3:30 PM", "3:30 p.m.", "3:30 AM"],
  ["3 PM", "\\text{3:00 pm}", "3"],
  ["50¢", "\\$0.50", "\\$50"],
  ["€5", "5 €", "\\$5"],
  ["US\\$5", "5", "6"],
  ["A\\$5", "5", "6"],
  ["USD 5", "\\$5", "€5"],
  ["EUR 5", "5 euros", "USD 5"],
  ["Rs. 5", "INR 5", "5 dollars"],
  ["A, C", "AC", "AB"],
  ["选项A", "A", "B"],
  ["\\text{Area} = 5", "5", "6"],
  ["The area is 5", "5", "6"],
  ["x:=5", "5", "6"],
  ["y=x", "x=y", "y=-x"],
  ["a=b+1", "b=a-1", "a=b-1"],
  ["5‰", "0.005", "5"],
  ["\\mp 2", "\\pm 2", "2"],
  ["plus or minus 3", "\\pm 3", "3"],
  ["5 µm", "5\\,\\mu\\text{m}", "5\\text{ mm}"],
  ["5 constructor", "5", "6"],
])("%s_is_%s_and_not_%s", (answer, gold, other) => expectOnly(answer, gold, other));

test.each([
  ["The sum is 5 less than 10", "5"],
  ["The value is at least 5", "5"],
  ["\\text{x is not } 5", "5"],
  ["neither Alice nor Bob", "Alice and Bob"],
  ["Alice or Bob", "Alice"],
  ["x>2 or x<5", "2<x<5"],
  ["R", "\\mathbb{R}"],
  ["\\hat{i}", "i"],
  ["A 5", "C 5"],
  ["GBP 5", "$5"],
])("%s_is_not_%s", (answer, gold) => expect(credited(answer, gold)).toBe(false));

/** Ways of saying an answer at the end of a text. */
const SAYINGS = [
  "Answer: @",
  "**Answer: @**",
  "**Answer:** @",
  "ANSWER: @",
  "Answer = @",
  "> Answer: @",
  "- Answer: @",
  "Ans: @",
  "A: @",
  "The answer: @",
  "Correct answer: @",
  "Answer:\n\n@",
  "**Answer:**\n@",
  "Answer\n$$\n@\n$$",
  "Answer:\n\\[\n@\n\\]",
  "Answer: @\nExplanation: 13 comes from 5 and 8.",
  "**Answer:** @\n\n**Explanation:** 13 is wrong.",
  "Answer: @\nReasoning: we add 1 to 13.",
  "答案：@\n解析：13 加一。",
  "So the answer is @.",
  "The answer is therefore @.",
  "The answer is simply @.",
  "The answer is: @",
  "The result would be @.",
  "The solution is @.",
  "The best option is @.",
  "The final answer is @.",
  "Final Answer: @",
  "La respuesta es @.",
  "La respuesta final es: @",
  "La solución es @.",
  "La réponse est @.",
  "Die Antwort ist @.",
  "Die Antwort lautet: @",
  "Das Ergebnis ist @.",
  "La risposta è @.",
  "A resposta é @.",
  "Ответ: @",
  "Ответ — @.",
  "Jibu ni @.",
  "Jibu: @",
  "答えは@です。",
  "答え：@",
  "คำตอบคือ @",
  "คำตอบ: @",
  "উত্তর হল @।",
  "উত্তর: @",
  "సమాధానం: @",
  "정답은 @입니다.",
  "답: @",
  "答案是@。",
];

test.each(SAYINGS)("%j_says_the_answer", (saying) => {
  for (const value of ["12", "\\frac{3}{4}", "-7.5", "1,234"]) {
    // Formulas between texts stand in delimiters.
    const written =
      value.startsWith("\\") && !saying.includes("$$") && !saying.includes("\\[") ? `$${value}$` : value;
    const text = `First we add 5 and 8.\n${saying.replace("@", written)}`;
    expect(grade(text, value).verdict, text).toBe("correct");
    expect(grade(text, "13").verdict, text).not.toBe("correct");
  }
});

test.each([
  "The answer cannot be 12.",
  "The answer can't be 12.",
  "The answer is not 12.",
  "a = 12",
  "b: 12",
  "Answer the question: what is 12?",
  "Answer: 13\nThen we add 12.",
  "Answer: 11 or 12",
  "The answer is 12 or 13.",
  "Explanation: 12",
  "The question is 12.",
])("%j_does_not_say_12", (text) => expect(grade(text, "12").verdict).not.toBe("correct"));
