// Share of texts in the language that was asked for.
import { identifyLanguage } from "@nsa/data";

/** Share of the texts whose likeliest language (lid.176) is the target; texts without letters do not count. */
export async function languageShare(texts: readonly string[], target: string): Promise<number> {
  let [inTarget, counted] = [0, 0];
  for (const text of texts) {
    if (!/\p{L}/u.test(text)) continue;
    counted++;
    if ((await identifyLanguage(text)).language === target) inTarget++;
  }
  return counted === 0 ? Number.NaN : inTarget / counted;
}
