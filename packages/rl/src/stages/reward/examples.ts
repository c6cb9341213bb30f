// What a reward model learns from: labelled texts or pairs of them, split by question into learned and held-out ones.
import { counted, ExitCode, keptNothing, NsaError, type PackItem, packBatch, Rng } from "@nsa/core";
import { expandInputs, type Tokenizer } from "@nsa/data";
import { readRecords } from "@nsa/tasks";
import { clashesOf, type Preference } from "../../task/clashes.ts";
import { checkRewardRecipe, type RewardModelConfig } from "./config.ts";
import { splitQuestions } from "./held-out-questions.ts";
import { rewardLosses } from "./loss.ts";
import { type LabelledRecord, type LabelledText, type LeftOut, RecordReader } from "./records.ts";

/** One text, or a better one and a worse one. */
export type RewardExample = readonly LabelledText[];

export interface RewardData {
  learned: RewardExample[];
  /** Single texts of held-out questions, and their pairs where the loss compares. */
  heldOut: RewardExample[];
}

const PAIR_STREAM = 62;

const reasons: Record<LeftOut, string> = {
  tie: "have equal sides",
  no_step: "have no step",
  empty: "have an empty output",
  long: "are longer than train.seq_len",
};

function nothingToLearn(what: string, why: string, fix: string): NsaError {
  return new NsaError({ code: "reward_data_useless", what, why, fix, exitCode: ExitCode.data });
}

type Log = (text: string, level?: "info" | "warn") => void;

/** All records of the files; those that cannot be used are counted by reason. */
function readAll(config: RewardModelConfig, tokenizer: Tokenizer, log: Log): LabelledRecord[] {
  const reader = new RecordReader(config, tokenizer, config.train.seqLen);
  const records: LabelledRecord[] = [];
  const preferences: Preference[] = [];
  const left = new Map<LeftOut, { count: number; first: string }>();
  let total = 0;
  for (const path of expandInputs(config.data.files)) {
    for (const { record, place } of readRecords(path)) {
      if (total >= (config.data.limit ?? Number.POSITIVE_INFINITY)) break;
      total++;
      const read = reader.read(record, place);
      if (typeof read !== "string") {
        records.push(read);
        if ("better" in read)
          preferences.push({ better: read.better.ids.join(), worse: read.worse.ids.join(), place });
      } else {
        const seen = left.get(read) ?? { count: 0, first: place };
        left.set(read, { ...seen, count: seen.count + 1 });
      }
    }
  }
  for (const [reason, { count, first }] of left)
    log(`${count} of ${total} records ${reasons[reason]} and are left out; the first is ${first}`, "warn");
  for (const line of clashesOf(preferences)) log(line, "warn");
  return records;
}

/** Pairs of a right and a wrong output of one question, at most `most`, each once however often it was sampled, in a seeded order. */
export function pairsOf(
  texts: readonly LabelledText[],
  most: number,
  rng: Rng,
  key: number,
): RewardExample[] {
  const of = (right: boolean) => {
    const own = texts.filter(({ ends }) => ends[0]!.label > 0.5 === right);
    return [...new Map(own.map((text) => [text.ids.join(), text])).values()];
  };
  const [right, wrong] = [of(true), of(false)];
  const all = right.flatMap((better) => wrong.map((worse): RewardExample => [better, worse]));
  return rng.shuffle(all, key).slice(0, most);
}

/**
 * What records of one question share: the ids of their prompt. Names do not decide: the parts of a mixed task and runs of other seeds
 * number their questions from 0 each, and a family may ask the same sum twice.
 */
export function questionOf(record: LabelledRecord): string {
  const { ids, promptLength } = "better" in record ? record.better : record;
  return ids.subarray(0, promptLength).join();
}

/** Records of each question, in the order of the questions' first records. */
export function byQuestion(records: readonly LabelledRecord[]): Map<string, LabelledRecord[]> {
  const groups = new Map<string, LabelledRecord[]>();
  for (const record of records) {
    const question = questionOf(record);
    const own = groups.get(question);
    if (own) own.push(record);
    else groups.set(question, [record]);
  }
  return groups;
}

/** All examples of the records, question by question. */
export function examplesOfAll(
  records: readonly LabelledRecord[],
  config: RewardModelConfig,
): RewardExample[] {
  const rng = new Rng(config.seed, PAIR_STREAM);
  return [...byQuestion(records).values()].flatMap((own, i) => examplesOf(own, config, rng, i));
}

/** Examples of one question's records, as the loss takes them. */
function examplesOf(
  records: readonly LabelledRecord[],
  config: RewardModelConfig,
  rng: Rng,
  key: number,
): RewardExample[] {
  const pairs = records.flatMap((r): RewardExample[] => ("better" in r ? [[r.better, r.worse]] : []));
  const singles = records.filter((r): r is LabelledText => !("better" in r));
  if (rewardLosses.get(config.loss).texts === 1) return [...pairs.flat(), ...singles].map((text) => [text]);
  return [...pairs, ...pairsOf(singles, config.data.pairsPerQuestion, rng, key)];
}

/** Why records gave no example. */
const whyNothing = ({ labels, loss }: RewardModelConfig): string =>
  labels === "preference"
    ? "none of them prefers one output to another that can be used"
    : rewardLosses.get(loss).texts === 2
      ? "no question has both a right and a wrong output"
      : "none of them can be used";

const whatHelps = ({ labels }: RewardModelConfig, pairs: boolean): string => {
  if (labels === "preference") return "name files with preferences whose sides differ";
  return pairs
    ? "sample more outputs per question, or set loss: pointwise"
    : "name files with labelled outputs";
};

/** Throws NsaError `reward_data_useless` (exit 3) where there is no example, or all labels are equal. */
function checkLabels(learned: readonly RewardExample[], config: RewardModelConfig, records: number): void {
  const { loss, labels } = config;
  if (learned.length === 0) {
    const kept = keptNothing(expandInputs(config.data.files));
    const pairs = rewardLosses.get(loss).texts === 2;
    throw nothingToLearn(
      `${counted(records, "record")} ${records === 1 ? "gives" : "give"} no ${pairs ? "pair" : "example"} to learn from`,
      kept?.why ?? whyNothing(config),
      kept?.fix ?? whatHelps(config, pairs),
    );
  }
  const first = learned[0]![0]!.ends[0]!.label;
  const equal = learned.every((texts) =>
    texts.every(({ ends }) => ends.every(({ label }) => label === first)),
  );
  if (equal)
    throw nothingToLearn(
      `all labels (${labels}) are ${first}`,
      "a reward model learns from differences between right and wrong outputs",
      "give right and wrong outputs both, such as those of questions that the policy solves sometimes",
    );
}

/** Warns where held-out examples cannot measure the model: there are none, or the labels of all are on one side of ½. */
function checkHeldOut(heldOut: readonly RewardExample[], questions: number, log: Log): void {
  if (questions > 0 && heldOut.length === 0)
    log(
      "no held-out question has both a right and a wrong output, so nothing is measured: raise held_out",
      "warn",
    );
  const sides = new Set(heldOut.flat().flatMap(({ ends }) => ends.map(({ label }) => label > 0.5)));
  if (sides.size !== 1) return;
  const side = sides.has(true) ? "right" : "wrong";
  log(
    `all held-out labels are ${side}: accuracy is that of a model that calls everything ${side}, and there is no AUC; ` +
      "raise held_out, or give more questions with right and wrong outputs",
    "warn",
  );
}

/**
 * Reads and splits the recipe's data. Held-out questions are the same for all seeds and iterations; at least one, where there are two and any are wanted.
 * Throws NsaError `reward_recipe_invalid` (exit 2), `reward_record_invalid`, `reward_data_useless`, `data_*` (exit 3).
 */
export function readRewardData(config: RewardModelConfig, tokenizer: Tokenizer, log: Log): RewardData {
  checkRewardRecipe(config);
  const records = readAll(config, tokenizer, log);
  const groups = byQuestion(records);
  const questions = splitQuestions([...groups.keys()], config.heldOut);
  const held = questions.heldOut.length;
  const rng = new Rng(config.seed, PAIR_STREAM);
  const numbers = new Map([...groups.keys()].map((question, i) => [question, i]));
  const of = (names: readonly string[]) =>
    names.flatMap((name) => examplesOf(groups.get(name)!, config, rng, numbers.get(name)!));
  const data = { learned: of(questions.learned), heldOut: of(questions.heldOut) };
  checkLabels(data.learned, config, records.length);
  const noun = rewardLosses.get(config.loss).texts === 2 ? "pair" : "example";
  log(
    `${counted(data.learned.length, noun)} of ${counted(questions.learned.length, "question")}; held out: ${counted(data.heldOut.length, noun)} of ${counted(held, "question")}`,
  );
  checkHeldOut(data.heldOut, held, log);
  return data;
}

/** Texts as one micro-batch; the numbers of a text stand where its `ends` are. */
export function packTexts(examples: readonly RewardExample[], loss: string) {
  const pairs = rewardLosses.get(loss).texts === 2;
  return packBatch(
    examples.flatMap((texts) =>
      texts.map(({ ids, ends }, side): PackItem => {
        // Position j is where `ids[j + 1]` would be predicted: an id behind the last makes the last position one of them.
        const labels = new Map(ends.map(({ at, label }) => [at + 1, pairs ? 1 - 2 * side : label]));
        return {
          ids: [...ids, 0],
          isTarget: (index) => labels.has(index),
          columns: { label: (index) => labels.get(index)! },
        };
      }),
    ),
  );
}

/** Positions of an example in a micro-batch. */
export const positionsOfExample = (texts: RewardExample) => texts.reduce((n, { ids }) => n + ids.length, 0);

/** Numbers of a micro-batch of such examples by which its loss is divided. */
export const weightOfExample = (texts: RewardExample) => (texts.length === 2 ? 1 : texts[0]!.ends.length);
