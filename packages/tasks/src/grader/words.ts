// Words that stand for numbers: English and Chinese numerals.
import { make, type Rational } from "./rational.ts";

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
  for (const [i, w] of words.entries()) {
    // Three hundred and five is one number, two and three are two.
    if (w === "and" && seen && (words[i - 1] === "hundred" || words[i - 1]! in multiples)) continue;
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

/** Names of shares, by their number. */
const shares = "half third quarter fifth sixth seventh eighth ninth tenth eleventh twelfth".split(" ");
const shareOf = (word: string): bigint | undefined => {
  if (word === "halves") return 2n;
  if (word === "fourth" || word === "fourths") return 4n;
  const at = shares.indexOf(word.length > 4 ? word.replace(/s$/, "") : word);
  return at < 0 ? undefined : BigInt(at + 2);
};

/** Value of a share in English words: one half, two-thirds, three and a half, 2 and three quarters; undefined for others. */
export function englishShare(text: string): Rational | undefined {
  const words = text.toLowerCase().split(/[\s-]+/);
  if (words.length > 10) return undefined;
  const q = shareOf(words.pop()!);
  if (q === undefined || words.length === 0) return undefined;
  const join = words.lastIndexOf("and");
  const count = words.slice(join + 1).join(" ");
  const p = /^an?$/.test(count) ? 1 : englishNumeral(count);
  if (p === undefined || !Number.isInteger(p)) return undefined;
  const before = words.slice(0, Math.max(join, 0)).join(" ");
  const whole = join < 0 ? 0 : /^\d{1,9}$/.test(before) ? Number(before) : englishNumeral(before);
  if (whole === undefined || !Number.isInteger(whole)) return undefined;
  return make(BigInt(whole) * q + BigInt(p), q);
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
