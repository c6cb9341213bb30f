// Whether a tokenizer fits a model: every id needs a row of the embedding.
import { ExitCode, NsaError } from "@nsa/core";
import type { Tokenizer } from "@nsa/data";

/** Throws NsaError `tokenizer_mismatch` (exit 3). `checkpoint`: the folder that both came from, or the model's alone. */
export function checkVocabulary(
  tokenizer: Tokenizer,
  model: { config: { vocabSize: number } },
  checkpoint: string,
): void {
  if (tokenizer.vocabSize <= model.config.vocabSize) return;
  throw new NsaError({
    code: "tokenizer_mismatch",
    what: `the tokenizer does not fit the model of ${checkpoint}`,
    why: `the tokenizer has ${tokenizer.vocabSize} ids, the model ${model.config.vocabSize} rows`,
    fix: "use the tokenizer.json that the checkpoint was trained with",
    exitCode: ExitCode.data,
  });
}
