// Answers in words and signs around a value: ranges, bounds, ranks, dates, remainders, names before an equals sign.
import { expect, test } from "vitest";
import { compareAnswers } from "../src/index.ts";

const credited = (answer: string, gold: string) => compareAnswers(answer, gold).verdict === "correct";

/** Expects both to be right for each other, and the answer for none of the others. */
function expectOnly(answer: string, gold: string, ...others: string[]): void {
  expect(credited(answer, gold), `${answer} for ${gold}`).toBe(true);
  expect(credited(gold, answer), `${gold} for ${answer}`).toBe(true);
  for (const other of others) {
    expect(credited(answer, other), `${answer} for ${other}`).toBe(false);
    expect(credited(other, answer), `${other} for ${answer}`).toBe(false);
  }
}

test("ranges_are_ratios_and_intervals_but_no_quotients", () => {
  for (let a = 1; a < 9; a++)
    for (let b = a + 1; b < 10; b += 1) {
      const quotients = [`${a}/${b}`, `\\frac{${a}}{${b}}`, String(a / b), `${b} to ${a}`, String(a - b)];
      expectOnly(`${a} to ${b}`, `${a}:${b}`, ...quotients);
      expectOnly(`${a} to ${b}`, `${a}-${b}`);
      expectOnly(`${a} \\text{ to } ${b}`, `${a} to ${b}`, ...quotients);
      expectOnly(`from ${a} to ${b}`, `[${a},${b}]`, `[${a},${b + 1}]`, `(${a},${b})`);
    }
});

test("ranges_are_the_same_by_any_dash_in_words_and_as_inequalities", () => {
  for (const dash of ["-", "–", "—", "−"]) expectOnly("3 to 5", `3${dash}5`);
  expectOnly("3 to 5", "between 3 and 5");
  expectOnly("from 3 to 5", "3 \\le x \\le 5", "3 < x < 5", "3 \\le x \\le 6");
  expectOnly("3 to 5", "3 ≤ t ≤ 5");
  // An answer with a unit is no other answer by the range alone.
  for (const [answer, gold] of [
    ["3 to 5", "3 to 5 hours"],
    ["3 to 5 hours", "3 to 5"],
  ] as const)
    expect(compareAnswers(answer, gold).verdict).not.toBe("wrong");
});

test("arrows_have_a_direction", () => {
  const names = "abcdpqrsxy";
  for (const a of names)
    for (const b of names)
      if (a < b) {
        expectOnly(`${a} \\to ${b}`, `${a}\\rightarrow ${b}`, `${b} \\to ${a}`, `${a} \\to ${a}`);
        expectOnly(
          `${a} \\Rightarrow ${b} \\Rightarrow z`,
          `${a} \\implies ${b}\\implies z`,
          `z \\to ${b} \\to ${a}`,
        );
      }
});

test("bounds_in_words_are_those_in_signs", () => {
  for (let n = -3; n < 11; n++) {
    for (const [words, sign, other] of [
      [`at least ${n}`, `\\ge ${n}`, `> ${n}`],
      [`${n} or more`, `\\ge ${n}`, `\\le ${n}`],
      [`at least ${n + 4},000`, `\\ge ${n + 4}000`, `> ${n + 4}000`],
      [`at most ${n}`, `\\le ${n}`, `< ${n}`],
      [`no more than ${n}`, `\\le ${n}`, `\\ge ${n}`],
      [`more than ${n}`, `> ${n}`, `< ${n}`],
      [`less than ${n}`, `< ${n}`, `\\le ${n}`],
    ] as const) {
      expect(credited(words, `x ${sign}`), `${words} for x ${sign}`).toBe(true);
      expect(credited(words, `x ${other}`), `${words} for x ${other}`).toBe(false);
      expect(credited(words, String(n)), `${words} for ${n}`).toBe(false);
      expect(credited(String(n), words), `${n} for ${words}`).toBe(false);
    }
  }
});

test("signs_of_rounding_stand_before_the_answer", () => {
  for (let n = 1; n < 60; n++) {
    const value = `${n}.${(n * 37) % 100 || 5}`;
    for (const sign of ["\\approx ", "≈", "\\sim ", "about ", "approximately ", "roughly "])
      expectOnly(sign + value, value, `${n + 1}`, `-${value}`);
  }
});

const MONTHS = ["January", "February", "March", "April", "June", "July", "August", "September", "October"];
test("dates_have_two_orders", () => {
  MONTHS.forEach((month, i) => {
    for (const day of [1, 2, 3, 11, 22, 30]) {
      const rank = day === 1 ? "st" : day === 2 || day === 22 ? "nd" : day === 3 ? "rd" : "th";
      const next = MONTHS[(i + 1) % MONTHS.length]!;
      for (const other of [`${day} ${month}`, `${month} ${day}${rank}`, `${month.slice(0, 3)}. ${day}`])
        expectOnly(`${month} ${day}`, other, `${next} ${day}`, `${month} ${day + 1}`, String(day));
      expectOnly(`${month} ${day}, 2024`, `${day} ${month} 2024`, `${month} ${day}, 2023`);
    }
  });
});

test("remainders_are_part_of_the_answer", () => {
  for (let q = 2; q < 15; q++)
    for (let r = 1; r < 6; r++)
      for (const other of [`${q} r ${r}`, `${q} remainder ${r}`, `${q} with remainder ${r}`, `${q} R${r}`])
        expectOnly(`${q} R ${r}`, other, String(q), `${q} R ${r + 1}`, `${r} R ${q + 20}`, `${q}${r}`);
});

test("ranks_signs_and_points_in_words_are_numbers", () => {
  const ones = "one two three four five six seven eight nine".split(" ");
  const ranks = "first second third fourth fifth sixth seventh eighth ninth".split(" ");
  ones.forEach((word, i) => {
    const n = i + 1;
    expectOnly(`minus ${word}`, String(-n), String(n));
    expectOnly(`negative ${word}`, String(-n), String(n));
    expectOnly(`${word} point five`, `${n}.5`, `${n}`, "5");
    expectOnly(`the ${ranks[i]}`, String(n), String(n + 1));
    expectOnly(`${ranks[i]} place`, String(n), String(n + 1));
    expectOnly(
      `${20 + n}${n === 1 ? "st" : n === 2 ? "nd" : n === 3 ? "rd" : "th"}`,
      String(20 + n),
      String(n),
    );
  });
  expectOnly("a third", "1/3", "3");
  expectOnly("half", "0.5", "2");
});

test("names_before_an_equals_sign_are_no_part_of_the_value", () => {
  for (let n = 2; n < 12; n++) {
    const value = `x-${n}`;
    for (const head of ["f^{-1}(x)", "g^{-1}(x)", "(f\\circ g)(x)", "h^{ -1 }(x)"])
      expectOnly(`${head} = ${value}`, value, `x+${n}`);
    for (const head of [
      "P(X=2)",
      "P(A|B)",
      "P(X\\ge 3)",
      "\\lim_{x\\to 0} f(x)",
      "\\det A",
      "A_{\\triangle ABC}",
    ])
      expectOnly(`${head} = 0.${n}`, `0.${n}`, `0.${n}1`);
  }
});

test("general_solutions_count_by_any_letter", () => {
  for (let d = 2; d < 12; d++)
    for (const [a, b] of [
      ["k", "n"],
      ["n", "m"],
      ["m", "k"],
    ] as const) {
      const written = `x = \\frac{\\pi}{${d}} + ${a}\\pi, ${a} \\in \\mathbb{Z}`;
      expectOnly(
        written,
        `x = \\frac{\\pi}{${d}} + ${b}\\pi, ${b} \\in \\mathbb{Z}`,
        `x = \\frac{\\pi}{${d + 1}} + ${a}\\pi, ${a} \\in \\mathbb{Z}`,
        `x = \\frac{\\pi}{${d}} + 2${a}\\pi, ${a} \\in \\mathbb{Z}`,
      );
      expectOnly(written, `x = \\frac{\\pi}{${d}} + ${b}\\pi \\text{ where $${b}$ is an integer}`);
    }
});

test("periods_end_in_dots_and_angles_are_turns", () => {
  for (let p = 1; p < 9; p++) {
    expectOnly(`0.${String(p).repeat(3)}\\ldots`, `\\frac{${p}}{9}`, `0.${p}`, `\\frac{${p}}{10}`);
    expectOnly(`0.${`1${p}`.repeat(3)}...`, `\\frac{${10 + p}}{99}`, `0.1${p}`);
    expectOnly(`${15 * p}^\\circ`, `\\frac{${p}\\pi}{12}`, `${p}`, `\\frac{${p}\\pi}{11}`);
  }
});

test("derived_units_are_made_of_others", () => {
  for (let n = 1; n < 10; n++) {
    expectOnly(`${n} kWh`, `${n * 3600} kJ`, `${n} kJ`);
    expectOnly(`${n} atm`, `${n * 101_325} Pa`, `${n} Pa`);
    expectOnly(`${n} kN`, `${n * 1000}\\text{ newtons}`, `${n}\\text{ newtons}`);
    expectOnly(`${n} feet and 6 inches`, `${12 * n + 6} inches`, `${n} inches`);
    expectOnly(`${n}'6"`, `${12 * n + 6} inches`);
    expectOnly(`${n} dollars and 50 cents`, `\\$${n}.50`, `\\$${n}`);
    expect(credited(`${n} light years`, `${n} years`)).toBe(false);
  }
});
