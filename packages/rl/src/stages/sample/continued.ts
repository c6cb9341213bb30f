// Outputs of earlier runs, read from samples.jsonl one after another: they may be more than memory holds.
import { ExitCode, firstComplaint, NsaError } from "@nsa/core";
import { expandInputs, type Tokenizer } from "@nsa/data";
import { answerForms, readRecords, repositorySchema } from "@nsa/tasks";
import { z } from "zod";
import { stepEnds } from "../../rewards/step-rules.ts";
import { tokenEnds } from "../../rewards/steps.ts";
import type { GoldFields, SampleVerdict } from "./rows.ts";
import { alignSteps } from "./steps.ts";

/** An output whose steps are to be judged. */
export interface EarlierOutput extends GoldFields {
  output?: number;
  prompt: string;
  prompt_ids: number[];
  ids: number[];
  completion: string;
  finish: "stop" | "length";
  verdict: SampleVerdict;
  steps: { text: string; end: number; token: number }[];
}

const id = z.number().int().min(0);
const rowSchema = z.object({
  id: z.string(),
  output: z.number().optional(),
  part: z.string().optional(),
  question: z.string(),
  gold: z.string(),
  answer_form: z.enum(answerForms).optional(),
  options: z.array(z.string()).optional(),
  countdown: z.object({ numbers: z.array(z.number()), target: z.number() }).optional(),
  tests: z.array(z.union([z.string(), z.object({ input: z.string(), output: z.string() })])).optional(),
  starter: z.string().optional(),
  repository: repositorySchema.optional(),
  prompt: z.string().optional(),
  prompt_ids: z.array(id).min(1),
  ids: z.array(id).min(1),
  completion: z.string(),
  finish: z.enum(["stop", "length"]),
  verdict: z.enum(["right", "wrong", "unread"]),
  steps: z.array(z.object({ end: z.number().int() })).optional(),
});

export interface ReadingOptions {
  tokenizer: Tokenizer;
  /** Ids of the model. */
  vocabSize: number;
  maxTokens: number;
  /** Tokens of the model's context. */
  maxSeqLen: number;
}

function complain(code: string, what: string, why: string, fix: string): NsaError {
  return new NsaError({ code, what, why, fix, exitCode: ExitCode.data });
}

function parse(record: unknown, place: string): z.output<typeof rowSchema> {
  const parsed = rowSchema.safeParse(record);
  if (parsed.success) return parsed.data;
  const { path, why } = firstComplaint(parsed.error, record);
  throw complain(
    "sample_row_invalid",
    place,
    `${path}: ${why}`,
    "data.files takes samples.jsonl as `nsa sample` writes it for questions (prompts.from task)",
  );
}

/** Ids mean the same texts here as where they were sampled. */
function checkTokenizer(row: z.output<typeof rowSchema>, place: string, o: ReadingOptions): void {
  const largest = Math.max(...row.ids, ...row.prompt_ids);
  if (largest < o.vocabSize && o.tokenizer.decode(row.ids) === row.completion) return;
  throw complain(
    "tokenizer_mismatch",
    place,
    largest < o.vocabSize
      ? `its ids are another text than its completion ${JSON.stringify(row.completion.slice(0, 60))}`
      : `it has the id ${largest}, and the model has ${o.vocabSize} ids`,
    "take the checkpoint that the outputs were sampled from, or one with its tokenizer",
  );
}

/** Why an output has no steps to judge. */
function fault(row: { prompt_ids: number[]; ids: number[]; completion: string }, o: ReadingOptions) {
  if (row.completion.trim() === "") return "without text";
  if (row.ids.length > o.maxTokens) return "longer than sampling.max_tokens";
  if (row.prompt_ids.length + row.ids.length > o.maxSeqLen) return "longer than the model's context";
  return undefined;
}

/**
 * The outputs of the files with their steps, in order; `onLeftOut` gets the reason for each that has none to judge. Throws NsaError
 * `sample_row_invalid`, `tokenizer_mismatch` (exit 3), and as `expandInputs` and `readRecords`.
 */
export function* readOutputs(
  patterns: readonly string[],
  options: ReadingOptions,
  onLeftOut: (why: string) => void = () => {},
): Generator<EarlierOutput> {
  const { tokenizer } = options;
  for (const path of expandInputs([...patterns]))
    for (const { record, place } of readRecords(path)) {
      const row = parse(record, place);
      checkTokenizer(row, place, options);
      const why = fault(row, options);
      if (why !== undefined) {
        onLeftOut(why);
        continue;
      }
      const ends = stepEnds(row.completion, row.steps);
      const steps = alignSteps(row.completion, ends, tokenEnds(tokenizer, row.ids));
      yield { ...row, prompt: row.prompt ?? tokenizer.decode(row.prompt_ids), steps };
    }
}
