// Held-out figures of a reward model: loss, accuracy, area under the ROC curve, calibration, by policy step and by place in the output.
import type { Metrics } from "@nsa/core";
import { numbersAt, type Transformer } from "@nsa/model";
import { calibrationError, rocAuc } from "@nsa/tasks";
import type { RewardExample } from "./examples.ts";
import { rewardLosses } from "./loss.ts";
import type { LabelledText } from "./records.ts";

/** One number of a held-out text. */
export interface HeldOutNumber {
  question: string;
  label: number;
  number: number;
  /** Which of the text's numbers, from 0, of how many. */
  index: number;
  of: number;
  policyStep?: number;
}

export interface HeldOutFigures {
  metrics: Metrics;
  numbers: HeldOutNumber[];
}

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
const mean = (xs: readonly number[]) => xs.reduce((a, b) => a + b, 0) / xs.length;
const half = (x: number) => (x > 0 ? 1 : x < 0 ? 0 : 0.5);

/** Shares of numbers on their label's side of 0; a number of 0 counts ½. */
export const accuracyOf = (rows: readonly Pick<HeldOutNumber, "number" | "label">[]) =>
  mean(rows.map(({ number, label }) => half(label > 0.5 ? number : -number)));

/** Accuracy, area and calibration of single numbers, under a prefix. */
function figuresOf(rows: readonly HeldOutNumber[], probability: boolean, prefix: string): Metrics {
  const [numbers, labels] = [rows.map((r) => r.number), rows.map((r) => r.label)];
  const metrics: Metrics = {};
  const auc = rocAuc(numbers, labels);
  if (Number.isFinite(auc)) metrics[`${prefix}auc`] = auc;
  if (!probability) return metrics;
  metrics[`${prefix}accuracy`] = accuracyOf(rows);
  metrics[`${prefix}calibration_error`] = calibrationError(numbers.map(sigmoid), labels);
  return metrics;
}

/** Figures by the step of the policy that wrote an output, where records have it. */
function byPolicyStep(rows: readonly HeldOutNumber[], probability: boolean): Metrics {
  const steps = [...new Set(rows.flatMap((r) => r.policyStep ?? []))].sort((a, b) => a - b);
  if (steps.length < 2) return {};
  const metrics: Metrics = {};
  for (const step of steps)
    Object.assign(
      metrics,
      figuresOf(
        rows.filter((r) => r.policyStep === step),
        probability,
        `held_out/policy_step_${step}/`,
      ),
    );
  return metrics;
}

/** Numbers of texts, each with its label; those of equal texts are computed once. */
function measured(model: Transformer, texts: readonly LabelledText[]): Map<LabelledText, number[]> {
  const unique = [...new Set(texts)];
  const numbers = numbersAt(
    model,
    unique.map(({ ids, ends }) => ({ ids, at: ends.map(({ at }) => at) })),
  );
  return new Map(unique.map((text, i) => [text, numbers[i]!]));
}

/**
 * `val/loss`, nats per example; `held_out/accuracy`, `held_out/auc` and `held_out/calibration_error`, of pairs `held_out/pair_accuracy`
 * (ties count ½).
 */
export function measureHeldOut(
  model: Transformer,
  examples: readonly RewardExample[],
  loss: string,
): HeldOutFigures {
  const { value, probability, texts: size } = rewardLosses.get(loss);
  const numbers = measured(model, examples.flat());
  const losses = examples.flatMap((texts) => {
    if (size === 2)
      return [
        value(
          texts.map((t) => numbers.get(t)![0]!),
          [1, -1],
        ),
      ];
    return texts[0]!.ends.map(({ label }, i) => value([numbers.get(texts[0]!)![i]!], [label]));
  });
  const rows = [...numbers].flatMap(([text, own]) =>
    own.map((number, index): HeldOutNumber => {
      const { question, policyStep, ends } = text;
      const step = policyStep === undefined ? {} : { policyStep };
      return { question, number, label: ends[index]!.label, index, of: own.length, ...step };
    }),
  );
  const metrics: Metrics = { "val/loss": mean(losses), ...figuresOf(rows, probability, "held_out/") };
  if (size === 2) {
    metrics["held_out/pair_accuracy"] = mean(
      examples.map(([a, b]) => half(numbers.get(a!)![0]! - numbers.get(b!)![0]!)),
    );
  }
  return { metrics: { ...metrics, ...byPolicyStep(rows, probability) }, numbers: rows };
}
