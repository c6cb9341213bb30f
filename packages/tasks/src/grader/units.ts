// Units of measure: their names, and their sizes by what they are made of (a litre is a cubic length, a mile per hour a length per time).
import { make, multiply, ONE, type Rational } from "./rational.ts";

type Dimension =
  | "length"
  | "mass"
  | "time"
  | "calendar"
  | "money"
  | "euro"
  | "force"
  | "energy"
  | "power"
  | "pressure"
  | "frequency"
  | "voltage"
  | "current"
  | "celsius"
  | "fahrenheit"
  | "kelvin";

/** Size p/q in metres, grams, seconds, months, cents …, of a dimension to a power. */
type Size = [Dimension, number, number?, number?];

const INCH: [number, number] = [127, 5000];
const POUND: [number, number] = [45_359_237, 100_000];
/** A gallon is 231 cubic inches; cubic metres. */
const GALLON: [number, number] = [473_176_473, 125_000_000_000];

const sizes: Record<string, Size> = {
  m: ["length", 1],
  dm: ["length", 1, 10],
  cm: ["length", 1, 100],
  mm: ["length", 1, 1000],
  micrometer: ["length", 1, 1_000_000],
  km: ["length", 1000],
  lightyear: ["length", 9_460_730_472_580_800],
  inch: ["length", ...INCH],
  foot: ["length", 12 * INCH[0], INCH[1]],
  yard: ["length", 36 * INCH[0], INCH[1]],
  mile: ["length", 63_360 * INCH[0], INCH[1]],
  g: ["mass", 1],
  kg: ["mass", 1000],
  mg: ["mass", 1, 1000],
  tonne: ["mass", 1_000_000],
  lb: ["mass", ...POUND],
  ounce: ["mass", POUND[0], 16 * POUND[1]],
  second: ["time", 1],
  millisecond: ["time", 1, 1000],
  minute: ["time", 60],
  hour: ["time", 3600],
  day: ["time", 86_400],
  week: ["time", 604_800],
  month: ["calendar", 1],
  year: ["calendar", 12],
  decade: ["calendar", 120],
  century: ["calendar", 1200],
  dollar: ["money", 100],
  cent: ["money", 1],
  euro: ["euro", 1],
  liter: ["length", 1, 1000, 3],
  ml: ["length", 1, 1_000_000, 3],
  gallon: ["length", ...GALLON, 3],
  quart: ["length", GALLON[0], 4 * GALLON[1], 3],
  pint: ["length", GALLON[0], 8 * GALLON[1], 3],
  cup: ["length", GALLON[0], 16 * GALLON[1], 3],
  hectare: ["length", 10_000, 1, 2],
  acre: ["length", 43_560 * 144 * INCH[0] * INCH[0], INCH[1] * INCH[1], 2],
  newton: ["force", 1],
  kn: ["force", 1000],
  joule: ["energy", 1],
  kj: ["energy", 1000],
  mj: ["energy", 1_000_000],
  kwh: ["energy", 3_600_000],
  watt: ["power", 1],
  kw: ["power", 1000],
  mw: ["power", 1_000_000],
  gw: ["power", 1_000_000_000],
  pa: ["pressure", 1],
  kpa: ["pressure", 1000],
  mpa: ["pressure", 1_000_000],
  atm: ["pressure", 101_325],
  hz: ["frequency", 1],
  khz: ["frequency", 1000],
  mhz: ["frequency", 1_000_000],
  ghz: ["frequency", 1_000_000_000],
  volt: ["voltage", 1],
  kv: ["voltage", 1000],
  mv: ["voltage", 1, 1000],
  ampere: ["current", 1],
  ma: ["current", 1, 1000],
  celsius: ["celsius", 1],
  fahrenheit: ["fahrenheit", 1],
  kelvin: ["kelvin", 1],
};

const sized = new Map(Object.entries(sizes));

/** What derived dimensions are made of; their unit (N, J, W, Pa) has 1,000 of gram, metre and second. */
const DERIVED = new Map<Dimension, [Dimension, number][]>([
  [
    "force",
    [
      ["mass", 1],
      ["length", 1],
      ["time", -2],
    ],
  ],
  [
    "energy",
    [
      ["mass", 1],
      ["length", 2],
      ["time", -2],
    ],
  ],
  [
    "power",
    [
      ["mass", 1],
      ["length", 2],
      ["time", -3],
    ],
  ],
  [
    "pressure",
    [
      ["mass", 1],
      ["length", -1],
      ["time", -2],
    ],
  ],
]);

/** Units of more than one dimension, as they are made. */
const compounds = new Map([
  ["mph", "mile / hour"],
  ["kmh", "km / hour"],
  ["kph", "km / hour"],
]);

const aliases = new Map<string, string>();
for (const line of `m: meter metre 米 公尺
dm: decimeter decimetre 分米
cm: centimeter centimetre 厘米
mm: millimeter millimetre 毫米
micrometer: micron microm
km: kilometer kilometre 千米 公里
inch: in inches 英寸
foot: ft feet 英尺
yard: yd
mile: mi 英里
g: gram 克
kg: kilogram kilo 千克 公斤
mg: milligram
tonne: 吨
lb: pound 磅
ounce: oz
second: sec s 秒
millisecond: ms
minute: min 分钟
hour: h hr 小时
day: 天
week: wk 周
month: mo 个月
year: yr 年
century: centuries
dollar: usd 美元
cent: ¢
liter: litre l 升
ml: milliliter millilitre 毫升 cc
gallon: gal
quart: qt
pint: pt
newton: n
joule: j
watt: w
kw: kilowatt
mw: megawatt
gw: gigawatt
kj: kilojoule
hz: hertz
khz: kilohertz
mhz: megahertz
ghz: gigahertz
pa: pascal
kpa: kilopascal
volt: v
ampere: amp
acre: acres
hectare: ha`.split("\n")) {
  const [name, others] = line.split(": ");
  for (const other of others!.split(" ")) aliases.set(other, name!);
}

/** Units of two or three letters that are units in this spelling only: 5 kJ, but 5kj is a product. */
export const spelledUnits = new Set("Pa kPa MPa kJ MJ kW MW GW kN kV mV mA ms ha".split(" "));
const rare = new Set(
  [...spelledUnits].map((name) => name.toLowerCase()).concat("n", "j", "w", "v", "mo", "qt"),
);

/** Bare words that are units after a number even when written without a space. */
const bareUnits = new Set(
  [
    ...sized.keys(),
    ...aliases.keys(),
    ...compounds.keys(),
    ..."ton rpm degree radian rad unit sq cubic square yuan rupee percent pct percentage mol sqft sqm piece pair dozen people time point".split(
      " ",
    ),
  ].filter((name) => !rare.has(name)),
);

/** Singular lower-case name of a unit word; its own name when unknown. */
export function unitName(word: string): string {
  if (/[ /]/.test(word))
    return word
      .split(/( +|\/)/)
      .map((part) => (/^(?: +|\/|)$/.test(part) ? part : unitName(part)))
      .join("");
  const w = word.toLowerCase().replace(/\.$/, "");
  if (sized.has(w)) return w;
  const known = aliases.get(w);
  if (known !== undefined) return known;
  const singular = w.endsWith("s") && w.length > 2 ? w.slice(0, -1) : w;
  return sized.has(singular) ? singular : (aliases.get(singular) ?? singular);
}

export function isUnitWord(word: string): boolean {
  const w = word.toLowerCase();
  return bareUnits.has(w) || (w.endsWith("s") && w.length > 2 && bareUnits.has(w.slice(0, -1)));
}

interface Measure {
  size: Rational;
  /** Exponents by dimension, in one order. */
  dimensions: string;
}

/** What a unit is made of: cm^2, square cm, cubic m, km/hour, m per second^2; undefined where a part has no size. */
function measureOf(unit: string): Measure | undefined {
  const exponents = new Map<string, number>();
  let size: Rational = ONE;
  let [below, pending] = [false, 1];
  const words = unit
    .replace(/\bper\b/g, "/")
    .replace(/\//g, " / ")
    .split(" ")
    .filter((word) => word !== "")
    .flatMap((word) => compounds.get(word)?.split(" ") ?? [word]);
  if (words.length > 8) return undefined;
  for (const word of words) {
    if (word === "/") {
      below = true;
      continue;
    }
    if (word === "degree" && words.length > 1) continue;
    if (/^(?:square|sq|cubic)$/.test(word)) {
      pending = word === "cubic" ? 3 : 2;
      continue;
    }
    const found = /^(.+?)(?:\^\{?(\d)\}?)?$/.exec(word)!;
    const [dimension, p, q = 1, power = 1] = sized.get(unitName(found[1]!)) ?? [];
    if (dimension === undefined) return undefined;
    const exponent = pending * Number(found[2] ?? 1);
    pending = 1;
    const derived = DERIVED.get(dimension);
    const thousands = derived ? make(1000n, 1n) : ONE;
    const one = multiply(
      below ? make(thousands.q, thousands.p) : thousands,
      below ? make(BigInt(q), BigInt(p!)) : make(BigInt(p!), BigInt(q)),
    );
    for (let i = 0; i < exponent; i++) size = multiply(size, one);
    const signed = (below ? -1 : 1) * exponent * power;
    for (const [base, n] of derived ?? [[dimension, 1] as const])
      exponents.set(base, (exponents.get(base) ?? 0) + n * signed);
  }
  const dimensions = [...exponents]
    .filter(([, n]) => n !== 0)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .join();
  return pending === 1 ? { size, dimensions } : undefined;
}

/** Factor from unit a to unit b, `"same"` when they need not or cannot be told apart, `"other"` for known ones that differ. */
export function unitFactor(a: string, b: string): Rational | "same" | "other" {
  if (a === b) return "same";
  const [x, y] = [measureOf(a), measureOf(b)];
  // lb/in^2 and lb/in^8 differ, whatever they are.
  const bare = (unit: string) => unit.replace(/\^\d+/g, "");
  if (!x || !y) return /\^\d/.test(a) && /\^\d/.test(b) && bare(a) === bare(b) ? "other" : "same";
  if (x.dimensions !== y.dimensions) return "other";
  return multiply(x.size, make(y.size.q, y.size.p));
}
