// Pairs in notations of their own, right or wrong by construction: units, sets of numbers, bases, residues, angles, shares in words, vectors.

export interface NotedPair {
  gold: string;
  answer: string;
  right: boolean;
  kind: string;
}

/** Draws of one pair. */
export interface Drawing {
  below(n: number): number;
  pick<T>(items: readonly T[]): T;
}

type Noted = (d: Drawing) => NotedPair;

const pair = (kind: string, gold: string, answer: string, right: boolean): NotedPair => ({
  gold,
  answer,
  right,
  kind,
});

/** Units of one dimension by how many of the smallest they are. */
const UNITS: readonly (readonly [string, number])[][] = [
  [
    ["inches", 1],
    ["feet", 12],
    ["yards", 36],
    ["miles", 63_360],
  ],
  [
    ["mm", 1],
    ["cm", 10],
    ["m", 1000],
    ["km", 1_000_000],
  ],
  [
    ["oz", 1],
    ["lb", 16],
  ],
  [
    ["cups", 1],
    ["pints", 2],
    ["quarts", 4],
    ["gallons", 16],
  ],
  [
    ["seconds", 1],
    ["minutes", 60],
    ["hours", 3600],
    ["days", 86_400],
    ["weeks", 604_800],
  ],
  [
    ["months", 1],
    ["years", 12],
    ["decades", 120],
    ["centuries", 1200],
  ],
  [
    ["square feet", 1],
    ["square yards", 9],
    ["acres", 43_560],
  ],
];

const measure: Noted = (d) => {
  const units = d.pick(UNITS);
  const [u, v] = [d.pick(units), d.pick(units)];
  const [a, b] = [1 + d.below(90), 1 + d.below(90)];
  const write = (amount: string, unit: string) => d.pick([`${amount} ${unit}`, `${amount}\\text{ ${unit}}`]);
  const top = a * u[1];
  if (d.below(3) === 0)
    return pair(
      "measure",
      write(String(a), u[0]),
      write(top % v[1] === 0 ? String(top / v[1]) : `\\frac{${top}}{${v[1]}}`, v[0]),
      true,
    );
  const other = d.below(4) === 0 ? d.pick(d.pick(UNITS)) : v;
  const foreign = !units.includes(other);
  return pair(
    "measure",
    write(String(a), u[0]),
    write(String(b), other[0]),
    !foreign && top === b * other[1],
  );
};

interface Interval {
  low: number;
  high: number;
  lowOpen: boolean;
  highOpen: boolean;
}
const drawInterval = (d: Drawing): Interval => {
  const low = d.below(20) - 10;
  return { low, high: low + 2 + d.below(9), lowOpen: d.below(2) === 0, highOpen: d.below(2) === 0 };
};
const tuple = ({ low, high, lowOpen, highOpen }: Interval) =>
  `${lowOpen ? "(" : "["}${low},${high}${highOpen ? ")" : "]"}`;

function writeInterval(v: Interval, d: Drawing): string {
  const { low, high, lowOpen, highOpen } = v;
  const [less, more] = [lowOpen ? "<" : "\\le", highOpen ? "<" : "\\le"];
  return d.pick([
    () => tuple(v),
    () => `x \\in ${tuple(v)}`,
    () => `\\{x \\mid ${low} ${less} x ${more} ${high}\\}`,
    () => `\\{t : t ${lowOpen ? ">" : "\\ge"} ${low}, t ${highOpen ? "<" : "\\le"} ${high}\\}`,
    () => `(-\\infty,${high}${highOpen ? ")" : "]"} \\cap ${lowOpen ? "(" : "["}${low},\\infty)`,
    () => `${tuple({ ...v, high: high + 3 })} \\setminus ${highOpen ? "[" : "("}${high},${high + 5}]`,
    () =>
      `${tuple({ ...v, high: high - 1, highOpen: true })}\\cup[${high - 1},${high}${highOpen ? ")" : "]"}`,
  ])();
}

const numbers: Noted = (d) => {
  const v = drawInterval(d);
  if (d.below(3) === 0) return pair("numbers", writeInterval(v, d), writeInterval(v, d), true);
  const w = d.pick([
    () => ({ ...v, lowOpen: !v.lowOpen }),
    () => ({ ...v, highOpen: !v.highOpen }),
    () => ({ ...v, high: v.high + 1 }),
    () => ({ ...v, low: v.low - 1 }),
    () => drawInterval(d),
  ])();
  return pair("numbers", writeInterval(v, d), writeInterval(w, d), tuple(v) === tuple(w));
};

const base: Noted = (d) => {
  const [n, b] = [20 + d.below(4000), d.pick([2, 3, 8, 11, 12, 16, 20, 36])];
  const digits = n.toString(b).toUpperCase();
  const gold = `${digits}_{${b}}`;
  if (d.below(3) === 0) return pair("base", String(n), gold, true);
  const [m, c] = [n + d.pick([1, -1, b, 10]), d.pick([2, 8, 12, 16])];
  return pair("base", gold, `${m.toString(c).toUpperCase()}_{${c}}`, false);
};

const residue: Noted = (d) => {
  const [m, a] = [3 + d.below(20), d.below(40)];
  const right = d.below(3) === 0;
  const [n, b] = right ? [m, a + m * (d.below(5) - 2)] : [m + d.below(2), a + 1 + d.below(m - 1)];
  const write = (value: number, modulus: number) =>
    d.pick([
      `x \\equiv ${value} \\pmod{${modulus}}`,
      `${value} \\pmod{${modulus}}`,
      `${value} (mod ${modulus})`,
    ]);
  return pair("residue", write(a, m), write(b, n), m === n && (a - b) % m === 0);
};

const angle: Noted = (d) => {
  const [degrees, minutes] = [1 + d.below(179), d.pick([6, 12, 15, 30, 45])];
  const hundredths = 100 * degrees + Math.round((100 * minutes) / 60);
  const right = d.below(3) === 0;
  const other = right ? hundredths : d.pick([100 * degrees + minutes, hundredths + 10, 100 * minutes]);
  return pair("angle", `${degrees}^\\circ ${minutes}'`, `${other / 100}^\\circ`, other === hundredths);
};

const NAMES = ["third", "quarter", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"];
const COUNTS = ["one", "two", "three", "four", "five", "six", "seven"];
const share: Noted = (d) => {
  const [p, q, whole] = [1 + d.below(7), 3 + d.below(8), d.below(4)];
  const words = `${COUNTS[p - 1]} ${NAMES[q - 3]}${p > 1 ? "s" : ""}`;
  const gold = whole === 0 ? words : `${COUNTS[whole - 1]} and ${words}`;
  const right = d.below(3) === 0;
  const top = whole * q + p;
  const [a, b] = right
    ? [top, q]
    : d.pick([
        [top + 1, q],
        [top, q + 1],
        [p, q],
        [q, top],
      ] as const);
  return pair("share", `\\frac{${a}}{${b}}`, gold, a * q === top * b);
};

const vector: Noted = (d) => {
  const [a, b, c] = [1 + d.below(9), 1 + d.below(9), d.below(3) === 0 ? 1 + d.below(9) : 0];
  const mark = d.pick([
    (axis: string) => `\\mathbf{${axis}}`,
    (axis: string) => `\\vec{${axis}}`,
    (axis: string) => `\\hat{${axis}}`,
  ]);
  const gold = `${a}${mark("i")} - ${b}${mark("j")}${c > 0 ? ` + ${c}${mark("k")}` : ""}`;
  const right = d.below(3) === 0;
  const [x, y] = right
    ? [a, -b]
    : d.pick([
        [a, b],
        [-b, a],
        [a + 1, -b],
      ] as const);
  const answer = `\\begin{pmatrix}${x}\\\\${y}${c > 0 ? `\\\\${c}` : ""}\\end{pmatrix}`;
  return pair("vector", gold, answer, x === a && y === -b);
};

export const NOTATIONS: readonly Noted[] = [measure, numbers, numbers, base, residue, angle, share, vector];
