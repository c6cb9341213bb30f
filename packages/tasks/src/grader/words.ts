// Words that stand beside or for numbers: units, English and Chinese numerals.
import { make, type Rational, rational } from "./rational.ts";

type Dimension = "length" | "mass" | "time" | "angle" | "money" | "volume";

/** Units of one dimension by their size in the first of them; units without a size only have a name. */
const sized: Record<string, [Dimension, number, number]> = {
  m: ["length", 1, 1],
  cm: ["length", 1, 100],
  mm: ["length", 1, 1000],
  km: ["length", 1000, 1],
  g: ["mass", 1, 1],
  kg: ["mass", 1000, 1],
  mg: ["mass", 1, 1000],
  second: ["time", 1, 1],
  minute: ["time", 60, 1],
  hour: ["time", 3600, 1],
  day: ["time", 86_400, 1],
  week: ["time", 604_800, 1],
  dollar: ["money", 100, 1],
  cent: ["money", 1, 1],
  liter: ["volume", 1, 1],
  ml: ["volume", 1, 1000],
};

const aliases: Record<string, string> = {
  meter: "m",
  metre: "m",
  米: "m",
  公尺: "m",
  centimeter: "cm",
  centimetre: "cm",
  厘米: "cm",
  millimeter: "mm",
  毫米: "mm",
  kilometer: "km",
  kilometre: "km",
  千米: "km",
  公里: "km",
  gram: "g",
  克: "g",
  kilogram: "kg",
  千克: "kg",
  公斤: "kg",
  sec: "second",
  s: "second",
  秒: "second",
  min: "minute",
  分钟: "minute",
  h: "hour",
  hr: "hour",
  小时: "hour",
  天: "day",
  litre: "liter",
  l: "liter",
  升: "liter",
  毫升: "ml",
  milliliter: "ml",
  usd: "dollar",
  美元: "dollar",
  "¢": "cent",
};

/** Bare words that are units after a number even when written without a space. */
const bareUnits = new Set([
  ...Object.keys(sized),
  ...Object.keys(aliases),
  ..."in inch ft foot feet yd yard mi mile oz ounce lb pound ton mph kmh rpm year yr month degree radian rad unit sq cubic square euro yuan rupee percent pct percentage hz volt watt joule newton gallon quart pint cup mol sqft sqm cc piece pair dozen people time point dm".split(
    " ",
  ),
]);

/** Singular lower-case name of a unit word; its own name when unknown. */
export function unitName(word: string): string {
  const w = word.toLowerCase().replace(/\.$/, "");
  if (w in sized) return w;
  if (aliases[w]) return aliases[w];
  const singular = w.endsWith("s") && w.length > 2 ? w.slice(0, -1) : w;
  return singular in sized ? singular : (aliases[singular] ?? singular);
}

export function isUnitWord(word: string): boolean {
  const w = word.toLowerCase();
  return bareUnits.has(w) || (w.endsWith("s") && w.length > 2 && bareUnits.has(w.slice(0, -1)));
}

/** Name and exponent of a unit: cm^2, square cm, cubic m. */
function powered(unit: string): { name: string; exponent: number } {
  const found = /^(?:(square|sq|cubic) )?(\S+?)(?:\^(\d))?$/.exec(unit);
  if (!found) return { name: unit, exponent: 1 };
  const exponent = found[1] ? (found[1] === "cubic" ? 3 : 2) : Number(found[3] ?? 1);
  return { name: found[2]!, exponent };
}

/** Factor from unit a to unit b, `"same"` when they need not or cannot be told apart, `"other"` for known ones that differ. */
export function unitFactor(a: string, b: string): Rational | "same" | "other" {
  if (a === b) return "same";
  const [u, v] = [powered(a), powered(b)];
  const [x, y] = [sized[u.name], sized[v.name]];
  // lb/in^2 and lb/in^8 differ, whatever they are.
  const bare = (unit: string) => unit.replace(/\^\d+/g, "");
  if (!x || !y) return /\^\d/.test(a) && /\^\d/.test(b) && bare(a) === bare(b) ? "other" : "same";
  if (x[0] !== y[0] || u.exponent !== v.exponent) return "other";
  let [p, q] = [1, 1];
  for (let i = 0; i < u.exponent; i++) [p, q] = [p * x[1] * y[2], q * x[2] * y[1]];
  return rational(p, q);
}

const small =
  "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split(
    " ",
  );
const tens = "twenty thirty forty fifty sixty seventy eighty ninety".split(" ");

const multiples: Record<string, number> = { thousand: 1e3, million: 1e6, billion: 1e9, trillion: 1e12 };

/** Value of an English numeral (`twenty-one`, `three hundred and five`, `one million`, `a dozen`, `half a million`). */
export function englishNumeral(text: string): number | undefined {
  const words = text.toLowerCase().split(/[\s-]+/);
  if (words.length > 12) return undefined;
  let share = 1;
  if (words[0] === "half" && words[1] === "a") {
    share = 0.5;
    words.shift();
  }
  if (
    /^an?$/.test(words[0]!) &&
    words.length > 1 &&
    (words[1]! in multiples || /^(?:hundred|dozen)$/.test(words[1]!))
  )
    words[0] = "one";
  let [total, current, seen] = [0, 0, false];
  for (const w of words) {
    if (w === "and" && seen) continue;
    if (small.includes(w)) current += small.indexOf(w);
    else if (tens.includes(w)) current += 20 + 10 * tens.indexOf(w);
    else if (w === "hundred" && seen) current *= 100;
    else if (w === "dozen" && seen) current *= 12;
    else if (w in multiples && seen) [total, current] = [total + current * multiples[w]!, 0];
    else return undefined;
    seen = true;
  }
  return seen ? share * (total + current) : undefined;
}

const hanDigits = "零一二三四五六七八九";
const hanPlaces: Record<string, bigint> = { 十: 10n, 百: 100n, 千: 1000n, 万: 10_000n, 亿: 100_000_000n };

function hanInteger(text: string): bigint | undefined {
  if (/^\d+$/.test(text)) return BigInt(text);
  let [total, section, digit] = [0n, 0n, 0n];
  for (const c of text.replace(/[两兩]/g, "二").replace(/〇/g, "零")) {
    const d = hanDigits.indexOf(c);
    const place = hanPlaces[c];
    if (c >= "0" && c <= "9") digit = digit * 10n + BigInt(c);
    else if (d >= 0) digit = BigInt(d);
    else if (place === undefined) return undefined;
    else if (place >= 10_000n) {
      total = (total + section + digit) * place;
      [section, digit] = [0n, 0n];
    } else {
      section += (digit === 0n ? 1n : digit) * place;
      digit = 0n;
    }
  }
  return total + section + digit;
}

const hanNumber = "[0-9零〇一二三四五六七八九十百千万亿两]{1,20}";
const hanFraction = new RegExp(`^(负)?(?:(${hanNumber})又)?(${hanNumber})分之(${hanNumber})$`);
const hanPlain = new RegExp(`^(负)?(${hanNumber})(?:点([零一二三四五六七八九]{1,20}))?$`);

/** Value of a Chinese numeral: 二十八, 五分之三, 一又二分之一, 百分之二十, 三点五, 负二. */
export function chineseNumeral(text: string): Rational | undefined {
  const fraction = hanFraction.exec(text);
  if (fraction) {
    const [whole, q, p] = [
      fraction[2] ? hanInteger(fraction[2]) : 0n,
      hanInteger(fraction[3]!),
      hanInteger(fraction[4]!),
    ];
    if (whole === undefined || !q || p === undefined) return undefined;
    const sign = fraction[1] ? -1n : 1n;
    return make(sign * (whole * q + p), q);
  }
  const plain = hanPlain.exec(text);
  if (!plain) return undefined;
  const whole = hanInteger(plain[2]!);
  if (whole === undefined) return undefined;
  const digits = [...(plain[3] ?? "")].map((c) => hanDigits.indexOf(c)).join("");
  const value = make(
    whole * 10n ** BigInt(digits.length) + BigInt(digits || "0"),
    10n ** BigInt(digits.length),
  );
  return plain[1] ? { p: -value.p, q: value.q } : value;
}
