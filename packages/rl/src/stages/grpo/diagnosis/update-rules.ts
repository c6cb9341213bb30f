// Diagnoses of updates: none at all, far too large ones, and training accuracy that differs from held-out accuracy.
import {
  type Diagnosis,
  type DiagnosisView,
  meanOf,
  newest,
  passRate,
  percent,
  type StepRow,
} from "./rule.ts";

const STEPS = 3;
/** Mean change of the step's own log-probabilities by its update, nats, from which on it is not a small step: of all steps, and of two. */
const LARGE = 0.25;
const VERY_LARGE = 0.5;
/** Change below which weights practically stay. */
const STILL = 1e-7;
/** Mean KL to the reference, nats per token, of a policy that has left it. */
const FAR = 2;
/** Size of the KL's term from which on it counts as much as advantages do. */
const OUTWEIGHS = 0.5;
/**
 * Coefficient from which on the KL holds the policy: its pull on a token equals an advantage of 1 at a change of 1 / coefficient nats.
 * The term itself is the smaller the larger the coefficient is, since the policy stays where it is.
 */
const HOLDS = 2;
/** Share of tokens whose ratio is clipped from which on most of the update is lost. */
const CLIPPED = 0.5;
/** Training steps that are held against one evaluation, and the gap of accuracies that counts. */
const GAP_STEPS = 5;
const GAP = 0.2;

/** The policy stays as it is. */
const noUpdate: Diagnosis = {
  name: "no update",
  needs: ["train/lr", "train/grad_norm"],
  find(view) {
    const rows = newest(view, STEPS);
    const { config } = view;
    if (!rows || rows[0]!.step <= (config.value?.warmupSteps ?? 0)) return undefined;
    const { optimizer, schedule } = config.train;
    if (rows.every((row) => row["train/lr"] === 0)) {
      const cause =
        optimizer.lr === 0
          ? "train.optimizer.lr is 0"
          : `train.schedule ${schedule.kind} gives a learning rate of 0`;
      return `the policy has not changed in ${STEPS} steps: ${cause}`;
    }
    if (rows.every((row) => row["train/skipped"] === 1))
      return `the policy has not changed in ${STEPS} steps: train.skip_z_score takes every gradient for an outlier`;
    // In bf16 the same weights may give log-probabilities that differ by rounding, so that small changes are no evidence.
    const still = (row: StepRow) => (row["policy/update_change_mean"] ?? 1) <= STILL;
    if (view.facts.dtype !== "fp32" || !rows.every(still)) return undefined;
    // Without a gradient the reward's or the sampling's diagnosis names the cause.
    if (rows.every((row) => row["train/grad_norm"]! < 1e-12)) return undefined;
    const warming =
      rows.at(-1)!.step <= schedule.warmupSteps ? `, ${schedule.warmupSteps} steps of warm-up` : "";
    return `the policy has not changed in ${STEPS} steps although there is a gradient: the learning rate ${meanOf(rows, "train/lr").toPrecision(2)} is too small to move the weights (train.optimizer.lr ${optimizer.lr}${warming})`;
  },
};

/** Updates that change the policy beyond recognition. */
const largeUpdate: Diagnosis = {
  name: "updates are too large",
  needs: ["policy/update_change_mean"],
  explains: [
    "outputs are cut",
    "no variance",
    "empty outputs",
    "constant reward",
    "no signal inside groups",
    "one answer for all questions",
    "wrong golds",
    "most tokens are clipped",
    "far from the reference",
    "the KL outweighs the rewards",
  ],
  find(view) {
    const rows = view.rows.slice(-STEPS);
    const veryLarge = rows.filter((row) => (row["policy/update_change_mean"] ?? 0) >= VERY_LARGE);
    const change = meanOf(veryLarge.length >= 2 ? veryLarge : rows, "policy/update_change_mean");
    if (veryLarge.length < 2 && !(rows.length === STEPS && change >= LARGE)) return undefined;
    const [first, now] = [view.rows[0]!["policy/entropy"], rows.at(-1)!["policy/entropy"]];
    const entropy =
      first === undefined || now === undefined
        ? ""
        : `, entropy ${first.toPrecision(2)} → ${now.toPrecision(2)} nats`;
    const { optimizer } = view.config.train;
    return `one step changes the log-probabilities of its own outputs by ${change.toPrecision(2)} nats on average, where ${LARGE} is already far${entropy}: train.optimizer.lr ${optimizer.lr} is too high`;
  },
};

/** Most tokens lose their gradient to the clip. */
const clipped: Diagnosis = {
  name: "most tokens are clipped",
  needs: ["policy/clip_fraction_low", "policy/clip_fraction_high"],
  find(view) {
    const rows = newest(view, STEPS);
    if (!rows) return undefined;
    const share = meanOf(rows, "policy/clip_fraction_low") + meanOf(rows, "policy/clip_fraction_high");
    if (!(share >= CLIPPED)) return undefined;
    const { innerEpochs, miniBatches, clipEpsLow, clipEpsHigh } = view.config.algorithm;
    return `the clip takes the gradient of ${percent(share)} of tokens (range ${clipEpsLow} and ${clipEpsHigh}, ${innerEpochs * miniBatches} updates a step): lower algorithm.inner_epochs or the learning rate, or widen the range`;
  },
};

/** The policy has left its reference. */
const farFromReference: Diagnosis = {
  name: "far from the reference",
  needs: ["kl/mean"],
  find(view) {
    const rows = newest(view, STEPS);
    if (!rows || !rows.every((row) => (row["kl/mean"] ?? 0) >= FAR)) return undefined;
    return `the KL to the reference is ${meanOf(rows, "kl/mean").toPrecision(2)} nats per token: algorithm.kl_coef ${view.config.algorithm.klCoef} does not hold the policy at this learning rate`;
  },
};

/** Advantages are of size 1: the KL counts as much as they do. */
const klOutweighs: Diagnosis = {
  name: "the KL outweighs the rewards",
  needs: ["kl/mean"],
  find(view) {
    const rows = newest(view, STEPS);
    const { klCoef } = view.config.algorithm;
    if (rows && klCoef >= HOLDS)
      return `algorithm.kl_coef ${klCoef} holds the policy at its reference: where a token's log-probability has moved by ${(1 / klCoef).toPrecision(2)} nats, the KL pulls back as much as an advantage of size 1 pushes; values from 0.001 to 0.1 are usual`;
    if (!rows || !rows.every((row) => klCoef * row["kl/mean"]! >= OUTWEIGHS)) return undefined;
    return `algorithm.kl_coef ${klCoef} times a KL of ${meanOf(rows, "kl/mean").toPrecision(2)} nats per token is ${(klCoef * meanOf(rows, "kl/mean")).toPrecision(2)}, beside advantages of size 1: the policy is pulled back to its reference more than it is moved by rewards; lower algorithm.kl_coef`;
  },
};

/** Standard error of a mean over steps. */
function errorOf(values: readonly number[]): number {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  return Math.sqrt(values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / values.length / values.length);
}

/** Training accuracy far above that on held-out questions. */
const heldOutGap: Diagnosis = {
  name: "training and held-out accuracy differ",
  needs: ["reward/mean"],
  find(view: DiagnosisView) {
    const rows = newest(view, GAP_STEPS);
    const { held } = view;
    if (!rows || !held || held.step !== rows.at(-1)!.step) return undefined;
    const rates = rows.flatMap((row) => passRate(row) ?? []);
    if (rates.length < GAP_STEPS) return undefined;
    const training = rates.reduce((a, b) => a + b, 0) / rates.length;
    const [mean, high] = [held["eval/pass_at_1"]!, held["eval/pass_at_1_high"] ?? 1];
    if (training - mean <= GAP || training - 2 * errorOf(rates) <= high) return undefined;
    return `${percent(training)} of the outputs of the last ${GAP_STEPS} steps are right, of held-out questions ${percent(mean)}: the policy learns its questions by heart, the held-out ones are of another kind, or the evaluation samples otherwise`;
  },
};

export const updateRules = [noUpdate, largeUpdate, clipped, farFromReference, klOutweighs, heldOutGap];
