// How long the prompts of a recipe's questions are, for estimates: its first questions, put together and tokenized.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { ExitCode, NsaError } from "@nsa/core";
import { Tokenizer } from "@nsa/data";
import { readModelConfig } from "@nsa/model";
import { chatOf } from "./chat.ts";
import { checkFamilies, makeProblems, type TaskConfig } from "./problems.ts";

/** Where a checkpoint has no tokenizer yet, as in the estimate of a later stage of a pipeline. */
const PROMPT_TOKENS = 64;
/** Questions that are looked at. */
const MOST = 64;

export interface PromptLength {
  longest: number;
  mean: number;
}

/**
 * Tokens of the first questions' prompts; 64 where the checkpoint has no tokenizer or the task's files are missing.
 * Throws NsaError (exit 2) for a task that no run could ask.
 */
export function promptLength(config: TaskConfig, checkpoint: string): PromptLength {
  const unknown = { longest: PROMPT_TOKENS, mean: PROMPT_TOKENS };
  checkFamilies(config);
  const file = join(checkpoint, "tokenizer.json");
  if (!existsSync(file)) return unknown;
  try {
    const tokenizer = Tokenizer.load(file);
    const { train, trainCount } = makeProblems(config, {
      encode: (text) => tokenizer.encode(text),
      chat: chatOf(checkpoint),
      maxSeqLen: readModelConfig(checkpoint).maxSeqLen,
      log: () => {},
    });
    const lengths = Array.from({ length: Math.min(MOST, trainCount) }, (_, i) => train(i).prompt.length);
    const mean = lengths.reduce((a, b) => a + b, 0) / lengths.length;
    return { longest: Math.max(...lengths), mean };
  } catch (error) {
    // Files that are not there yet are named when the run starts, or by the check that a dry run makes.
    if (error instanceof NsaError && error.exitCode !== ExitCode.usage) return unknown;
    throw error;
  }
}
