// Records of labelled outputs: rows of `nsa sample` and of rollouts, preferences, and texts with a label for each step.
import { ExitCode, firstComplaint, NsaError } from "@nsa/core";
import type { Tokenizer } from "@nsa/data";
import { z } from "zod";
import { stepTokens } from "../../rewards/step-rules.ts";
import { tokenEnds } from "../../rewards/steps.ts";
import { checkText, NULLED } from "../../task/same-text.ts";
import type { RewardModelConfig } from "./config.ts";

/** A prompt and an output as ids, with the labels of the places where the model gives a number. */
export interface LabelledText {
  ids: Int32Array;
  promptLength: number;
  /** Positions in `ids`, ascending, and the label of the number there, in [0, 1]. */
  ends: readonly { at: number; label: number }[];
  /** Name or text of the question, for people. */
  question: string;
  /** Step of the policy that wrote it, where the record has it. */
  policyStep?: number;
  /** Whether the output ended by itself. */
  ended: boolean;
}

/** What a record comes to: a text, or a better and a worse one. */
export type LabelledRecord = LabelledText | { better: LabelledText; worse: LabelledText };

const probability = z.number().min(0).max(1);
const ids = z.array(z.number().int().min(0));
const base = {
  id: z.string().optional(),
  question: z.string().optional(),
  prompt: z.string().optional(),
  prompt_ids: ids.optional(),
  policy_step: z.number().int().min(0).optional(),
};

const outputRow = z.looseObject({
  ...base,
  ids: ids.optional(),
  completion: z.string().optional(),
  finish: z.string().optional(),
  verdict: z.enum(["right", "wrong", "unread"]).optional(),
  parts: z.record(z.string(), z.number()).optional(),
});
const preferenceRow = z.looseObject({ ...base, chosen: z.string(), rejected: z.string() });
const stepsRow = z.looseObject({
  ...base,
  /** Rows of `nsa sample` have the output's ids, and `token`, the index of the one that ends a step. */
  ids: ids.optional(),
  completion: z.string().optional(),
  steps: z.array(
    z.looseObject({
      text: z.string(),
      label: probability.optional(),
      hard: probability.optional(),
      soft: probability.optional(),
      token: z.number().int().min(0).optional(),
    }),
  ),
});

type Base = Pick<z.output<typeof outputRow>, keyof typeof base>;

/** Why a record is left out: it is no fault of the file. */
export type LeftOut = "tie" | "no_step" | "empty" | "long";

function invalid(place: string, why: string, fix: string, code = "reward_record_invalid"): NsaError {
  return new NsaError({
    code,
    what: place,
    why,
    fix,
    exitCode: ExitCode.data,
  });
}

function parsed<S extends z.ZodType>(schema: S, record: unknown, place: string, wanted: string): z.output<S> {
  const result = schema.safeParse(record);
  if (result.success) return result.data;
  const { path, why } = firstComplaint(result.error, record);
  const nulled = why.endsWith("and is null") ? NULLED : "";
  throw invalid(place, `${path || "the record"}: ${why}${nulled}`, `give records of ${wanted}`);
}

/** Throws for a row of labels.jsonl that is of the other kind than the recipe learns from. */
function refuseOtherLabels(record: unknown, labels: RewardModelConfig["labels"], place: string): void {
  const { kind } = (record ?? {}) as { kind?: unknown };
  const wanted = labels === "preference" ? "preference" : "verdict";
  if ((kind !== "verdict" && kind !== "preference") || kind === wanted) return;
  throw invalid(
    place,
    `it is a ${kind}, and labels: ${labels} learns from ${wanted}s`,
    `name a file of one kind: \`nsa rollouts RUN --labels ${wanted} > ${wanted}s.jsonl\``,
  );
}

/** Whether a record is an output of `nsa sample` or of a rollout whose steps nobody has labelled. */
const isUnlabelled = (record: unknown): boolean => {
  const { steps, ids, completion } = (record ?? {}) as Record<string, unknown>;
  const isText = (step: unknown) => typeof step === "object" && step !== null && "text" in step;
  const labelled = Array.isArray(steps) && steps.length > 0 && steps.every(isText);
  return !labelled && (ids !== undefined || completion !== undefined);
};

/** Reads records by the recipe's `kind` and `labels`. */
export class RecordReader {
  constructor(
    private readonly config: Pick<RewardModelConfig, "kind" | "labels">,
    private readonly tokenizer: Tokenizer,
    private readonly seqLen: number,
  ) {}

  /** Throws NsaError `reward_record_invalid`, `tokenizer_mismatch` (exit 3) with the record's place. */
  read(record: unknown, place: string): LabelledRecord | LeftOut {
    const { kind, labels } = this.config;
    refuseOtherLabels(record, labels, place);
    if (kind === "process") return this.steps(record, place);
    return labels === "preference" ? this.preference(record, place) : this.output(record, place);
  }

  private output(record: unknown, place: string): LabelledText | LeftOut {
    const row = parsed(
      outputRow,
      record,
      place,
      "{prompt_ids, ids, verdict} or {prompt, completion, verdict}",
    );
    const verdict = row.verdict ?? { 1: "right", 0: "wrong" }[row.parts?.accuracy ?? Number.NaN];
    if (verdict === undefined && row.parts?.accuracy !== undefined)
      throw invalid(
        place,
        `\`parts.accuracy\` is ${row.parts.accuracy}, and without a \`verdict\` it must be 1 (right) or 0 (wrong)`,
        "give each record its verdict: right or wrong",
      );
    if (verdict === undefined)
      throw invalid(
        place,
        "it has neither `verdict` nor `parts.accuracy`",
        "sample with a task that has gold answers, or set labels: preference",
      );
    const prompt = this.promptOf(row, place);
    const output = row.ids ?? (row.completion === undefined ? undefined : this.answer(row.completion));
    if (row.ids) checkText(row.ids, { text: row.completion, field: "completion", place }, this.tokenizer);
    if (output === undefined)
      throw invalid(place, "it has neither `ids` nor `completion`", "give one of them");
    const ended =
      row.finish === undefined ? this.tokenizer.isEnd(output.at(-1) ?? -1) : row.finish === "stop";
    const text = this.text(row, prompt, output, place, ended);
    if (typeof text === "string") return text;
    return { ...text, ends: [{ at: text.ids.length - 1, label: verdict === "right" ? 1 : 0 }] };
  }

  private preference(record: unknown, place: string): LabelledRecord | LeftOut {
    const row = parsed(preferenceRow, record, place, "{prompt, chosen, rejected}");
    if (row.chosen === row.rejected) return "tie";
    const prompt = this.promptOf(row, place);
    const side = (completion: string, label: number): LabelledText | LeftOut => {
      const text = this.text(row, prompt, this.answer(completion), place, true);
      return typeof text === "string" ? text : { ...text, ends: [{ at: text.ids.length - 1, label }] };
    };
    if (row.chosen === "" || row.rejected === "") return "empty";
    const [better, worse] = [side(row.chosen, 1), side(row.rejected, 0)];
    if (typeof better === "string") return better;
    return typeof worse === "string" ? worse : { better, worse };
  }

  private steps(record: unknown, place: string): LabelledText | LeftOut {
    const key = { rule: "label", shepherd_hard: "hard", shepherd_soft: "soft", preference: "label" } as const;
    const wanted = key[this.config.labels];
    if (isUnlabelled(record))
      throw invalid(
        place,
        "it is an output without labels of its steps",
        "label the steps first: `nsa sample configs/sample/step-labels.yaml` with these files as data.files, and name its samples.jsonl here",
      );
    const row = parsed(stepsRow, record, place, `{prompt, steps: [{text, ${wanted}}]}`);
    if (row.steps.length === 0) return "no_step";
    const empty = row.steps.findIndex((step) => step.text.trim() === "");
    if (empty >= 0)
      throw invalid(place, `steps.${empty}.text is empty`, "leave the step out, or give its text");
    const missing = row.steps.findIndex((step) => step[wanted] === undefined);
    if (missing >= 0)
      throw invalid(
        place,
        `steps.${missing} has no \`${wanted}\``,
        row.steps[missing]!.soft === undefined
          ? "label every step, or change `labels`"
          : "set labels: shepherd_hard or shepherd_soft, which these steps have",
      );
    const prompt = this.promptOf(row, place);
    const output = row.ids ?? this.answer(row.steps.map((step) => step.text).join(""));
    if (row.ids) checkText(row.ids, { text: row.completion, field: "completion", place }, this.tokenizer);
    const text = this.text(row, prompt, output, place, true);
    if (typeof text === "string") return text;
    const tokens = this.tokensOf(row.steps, output);
    const outside = tokens.find((t, i) => t >= output.length || t <= (tokens[i - 1] ?? -1));
    if (outside !== undefined)
      throw invalid(
        place,
        `a step ends at token ${outside} of ${output.length}, or not after the one before`,
        "give steps in their order, each with text of its own",
      );
    const labels = new Map(tokens.map((t, i) => [prompt.length + t, row.steps[i]![wanted]!]));
    return { ...text, ends: [...labels].map(([at, label]) => ({ at, label })) };
  }

  /** Index of the token that ends each step. */
  private tokensOf(
    steps: readonly { text: string; token?: number | undefined }[],
    output: readonly number[],
  ): number[] {
    if (steps.every(({ token }) => token !== undefined)) return steps.map(({ token }) => token!);
    let length = 0;
    const ends = steps.map(({ text }) => {
      length += text.length;
      return length;
    });
    return stepTokens(ends, tokenEnds(this.tokenizer, output));
  }

  private answer(text: string): number[] {
    return [...this.tokenizer.encode(text, { inner: true }), this.tokenizer.eosId];
  }

  private promptOf(row: Base, place: string): number[] {
    if (row.prompt_ids) return row.prompt_ids;
    if (row.prompt !== undefined) return [...this.tokenizer.encode(row.prompt)];
    throw invalid(place, "it has neither `prompt_ids` nor `prompt`", "give one of them");
  }

  private text(
    row: Base,
    prompt: readonly number[],
    output: readonly number[],
    place: string,
    ended: boolean,
  ): LabelledText | LeftOut {
    if (output.length === 0) return "empty";
    if (prompt.length + output.length > this.seqLen) return "long";
    const plain = [...prompt, ...output];
    const wrong = plain.find((id) => !this.tokenizer.has(id));
    if (wrong !== undefined)
      throw invalid(
        place,
        `id ${wrong} is not one of the tokenizer's ${this.tokenizer.vocabSize}`,
        "train from a checkpoint that has the tokenizer with which the outputs were sampled",
      );
    const all = Int32Array.from(plain);
    const { policy_step: policyStep } = row;
    return {
      ids: all,
      promptLength: prompt.length,
      ends: [],
      question: row.id ?? row.question ?? row.prompt ?? prompt.join(),
      ...(policyStep === undefined ? {} : { policyStep }),
      ended,
    };
  }
}
