// Language consistency by hand: whole thoughts in many languages, mixed ones with their shares, mathematics, and refusals.
import { parseConfig } from "@nsa/core";
import { expect, test } from "vitest";
import { grpoSchema } from "../src/index.ts";
import { languageConsistency } from "../src/rewards/language.ts";

test("a_mixed_line_is_counted_by_its_scripts", async () => {
  expect(await languageConsistency("two plus two is four", "en")).toBe(1);
  expect(await languageConsistency("two 加 two", "en")).toBeCloseTo(2 / 3);
  expect(await languageConsistency("two 加 two", "zh")).toBeCloseTo(1 / 3);
  expect(await languageConsistency("1 + 2 = 3", "en")).toBe(1);
  expect(await languageConsistency("", "th")).toBe(1);
});

test("the_thought_alone_is_judged", async () => {
  expect(await languageConsistency("<think> two plus two </think> <answer> 四 </answer>", "en")).toBe(1);
  expect(await languageConsistency("<think> 二加二 </think> <answer> four </answer>", "en")).toBe(0);
  expect(await languageConsistency("<think> 二加二", "zh")).toBe(1);
  // Without a thought the tags of an answer are no words.
  expect(await languageConsistency("<answer> 四 </answer>", "zh")).toBe(1);
});

const thoughts: Record<string, string> = {
  en: "First we add the two numbers together. Then we compare the result with the number that was asked for.",
  de: "Zuerst addieren wir die beiden Zahlen. Danach vergleichen wir das Ergebnis mit der gesuchten Zahl.",
  fr: "D'abord nous additionnons les deux nombres. Ensuite nous comparons le résultat avec le nombre demandé.",
  es: "Primero sumamos los dos números. Después comparamos el resultado con el número que se busca.",
  it: "Prima sommiamo i due numeri. Poi confrontiamo il risultato con il numero che stiamo cercando.",
  pl: "Najpierw dodajemy obie liczby. Potem porównujemy wynik z liczbą, której szukamy.",
  tr: "Önce iki sayıyı toplarız. Sonra sonucu aradığımız sayıyla karşılaştırırız.",
  vi: "Trước hết ta cộng hai số với nhau. Sau đó ta so sánh kết quả với số cần tìm.",
  ru: "Сначала мы складываем два числа. Потом сравниваем результат с искомым числом.",
  uk: "Спочатку ми додаємо обидва числа. Потім порівнюємо результат із шуканим числом.",
  ar: "نجمع العددين أولا ثم نقارن النتيجة بالعدد المطلوب في السؤال.",
  fa: "ابتدا دو عدد را با هم جمع می‌کنیم و سپس نتیجه را با عدد خواسته شده مقایسه می‌کنیم.",
  hi: "पहले हम दोनों संख्याओं को जोड़ते हैं। फिर परिणाम की तुलना माँगी गई संख्या से करते हैं।",
  zh: "首先我们把两个数相加。然后把结果和题目要求的数比较。",
  ja: "まず二つの数を足します。次に結果を求める数と比べます。",
  ko: "먼저 두 수를 더한다. 그다음 결과를 구하려는 수와 비교한다.",
  th: "ก่อนอื่นเรานำจำนวนทั้งสองมาบวกกัน แล้วเปรียบเทียบผลลัพธ์กับจำนวนที่ต้องการ",
  el: "Πρώτα προσθέτουμε τους δύο αριθμούς. Μετά συγκρίνουμε το αποτέλεσμα με τον αριθμό που ζητείται.",
  he: "תחילה נחבר את שני המספרים. אחר כך נשווה את התוצאה למספר המבוקש.",
  ta: "முதலில் இரண்டு எண்களையும் கூட்டுகிறோம்.",
  ka: "ჯერ ორ რიცხვს ვკრებთ და შემდეგ შედეგს საძიებელ რიცხვს ვადარებთ.",
};

test.each(Object.entries(thoughts))(
  "a_thought_in_%s_is_all_of_that_language_and_of_no_other",
  async (code, text) => {
    expect(await languageConsistency(text, code)).toBe(1);
    for (const other of ["en", "zh", "ja", "ru", "ar", "hi", "fr"])
      if (other !== code) expect(await languageConsistency(text, other), other).toBe(0);
  },
);

const { en, de, ru, uk, zh, ja } = thoughts as Record<"en" | "de" | "ru" | "uk" | "zh" | "ja", string>;

test.each([
  // English 19 words, German 15.
  [`${en} ${de}`, "en", 19 / 34],
  [`${en} ${de}`, "de", 15 / 34],
  // Russian 5 + 5 words, Ukrainian 5 + 5.
  [`${ru}\n${uk}`, "uk", 10 / 20],
  // 10 and 14 characters against two English words.
  [`${zh} well done`, "zh", 24 / 26],
  [`${zh} well done`, "en", 2 / 26],
  // Han characters of a Japanese sentence are not Chinese: 11 and 14 characters.
  [`${zh}${ja}`, "ja", 25 / 49],
  [`${zh}${ja}`, "zh", 24 / 49],
  // Words of two scripts are two words; marks belong to their words.
  ["सं+नि word", "hi", 2 / 3],
  ["число number число", "ru", 2 / 3],
  ["정답은 three 입니다", "ko", 2 / 3],
  ["ราคา price", "th", 1 / 2],
])("%s_as_%s", async (text, code, share) => {
  expect(await languageConsistency(text, code)).toBeCloseTo(share, 12);
});

test.each([
  ["设 $x = \\frac{a}{b}$，则 x + y = 3，\\boxed{seven} \\(\\text{where}\\) sin x", "zh"],
  ["我们令 n1 = 2x，α 和 β 不算", "zh"],
  ["Пусть x и y — числа, `for i in range`, тогда log(x) = 2", "ru"],
  ["```python\nprint('hello world')\n``` 这是代码 <answer>", "zh"],
  ["The value of x is \\[ ignorieren wir das \\] a number", "en"],
  ["يساوي $\\sin\\theta$", "ar"],
])("mathematics_of_%s_is_no_word_of_%s", async (text, code, share = 1) => {
  expect(await languageConsistency(text, code)).toBeCloseTo(share, 12);
});

test("letters_that_are_words_count_and_variables_do_not", async () => {
  // I, have, a, dog against и, кошка: the variable x and the a before an equals sign are left out.
  expect(await languageConsistency("I have a dog и кошка", "en")).toBeCloseTo(4 / 6);
  expect(await languageConsistency("let x be, a = 2, кошка", "en")).toBeCloseTo(2 / 3);
});

test("short_sentences_count_as_the_ones_beside_them", async () => {
  // "Ja." is German before and after a German sentence of 7 words.
  const german = "Zuerst addieren wir die beiden großen Zahlen";
  expect(await languageConsistency(`Ja. ${german}. Gut so.`, "de")).toBe(1);
  expect(await languageConsistency(`Ja. ${german}. Gut so.`, "en")).toBe(0);
});

test("a_language_is_named_by_its_code_and_others_are_refused", () => {
  const read = (language: string) =>
    parseConfig(
      grpoSchema,
      { init: { checkpoint: "none" }, rewards: [{ kind: "language", language }] } as never,
      "test",
    );
  expect(read("sw").rewards[0]!.language).toBe("sw");
  for (const code of ["english", "EN", "xx", ""])
    expect(() => read(code)).toThrow(expect.objectContaining({ exitCode: 2 }));
});
