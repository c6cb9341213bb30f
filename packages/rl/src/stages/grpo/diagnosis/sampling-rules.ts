// Diagnoses of how outputs are drawn and how they end.
import { hasVariety } from "./reward-rules.ts";
import { type Diagnosis, meanOf, newest, passRate, percent } from "./rule.ts";

const STEPS = 3;
/** What follows where outputs do not end as they should. */
const LOST = ["constant reward", "no signal inside groups", "wrong golds", "grader rejects right outputs"];
/** Share of outputs cut at the longest length from which on training is about them. */
const CUT = 0.6;
/** Mean differences of log-probabilities, nats, above those of rounding. */
const ROUNDING = { fp32: 1e-3, bf16: 0.1 } as const;

/** The outputs of a question are copies of one another. */
const noVariance: Diagnosis = {
  name: "no variance",
  needs: ["rollout/distinct_share", "policy/entropy"],
  explains: [...LOST, "sampling is cut far"],
  find(view) {
    const rows = newest(view, STEPS);
    const { rollout: r } = view.config;
    if (!rows || hasVariety(rows, r.groupSize)) return undefined;
    const narrow = [
      ...(r.temperature < 0.5 ? [`rollout.temperature ${r.temperature}`] : []),
      ...(r.topK > 0 && r.topK < 4 ? [`rollout.top_k ${r.topK}`] : []),
      ...(r.topP < 0.5 ? [`rollout.top_p ${r.topP}`] : []),
      ...(r.minP > 0.5 ? [`rollout.min_p ${r.minP}`] : []),
    ];
    // A policy that has become certain because it solves its task has no fault.
    const solved = rows.every((row) => (passRate(row) ?? 0) >= 0.95);
    if (narrow.length === 0 && solved && view.learned) return undefined;
    const cause =
      narrow.length > 0
        ? `${narrow.join(", ")} leaves no choice`
        : `the policy is certain of every token (entropy ${meanOf(rows, "policy/entropy").toPrecision(2)} nats): raise the temperature, or begin with a policy that is less sharp`;
    return `the ${r.groupSize} outputs of a question are nearly all equal (${percent(meanOf(rows, "rollout/distinct_share"))} of them are distinct texts), so none has an advantage; ${cause}`;
  },
};

/** A step asks the same question again and again. */
const repeatedQuestions: Diagnosis = {
  name: "questions repeat",
  needs: ["rollout/distinct_question_share"],
  find(view) {
    const rows = newest(view, STEPS);
    const { questionsPerStep } = view.config.rollout;
    const share = rows ? meanOf(rows, "rollout/distinct_question_share") : Number.NaN;
    if (questionsPerStep < 4 || !(share < 0.5)) return undefined;
    const { file, task, limit } = view.config.task;
    const cause =
      limit === undefined
        ? `${file || task || "the task"} holds the same ones many times`
        : `task.limit ${limit} leaves no more, or they are the same ones many times`;
    return `only ${percent(share)} of the ${questionsPerStep} questions of a step are different ones: ${cause}`;
  },
};

/** Temperature and entropy, in nats a token, from which on outputs are nearly drawn at random. */
const [HOT, RANDOM] = [1.5, 3];

/** A temperature that leaves nothing of the policy. */
const atRandom: Diagnosis = {
  name: "outputs are random",
  needs: ["policy/entropy"],
  explains: ["outputs are cut", "constant reward", "no signal inside groups", "wrong golds", "empty outputs"],
  find(view) {
    const rows = newest(view, STEPS);
    const { temperature } = view.config.rollout;
    if (!rows || temperature < HOT || !rows.every((row) => row["policy/entropy"]! >= RANDOM))
      return undefined;
    return `outputs are nearly random text (${meanOf(rows, "policy/entropy").toPrecision(2)} nats a token): rollout.temperature ${temperature} is too high; 1 samples the policy itself`;
  },
};

/** Most outputs are cut at the longest length. */
const truncation: Diagnosis = {
  name: "outputs are cut",
  needs: ["completion/truncated_share", "rollout/distinct_share"],
  explains: LOST,
  find(view) {
    const rows = newest(view, STEPS);
    if (!rows) return undefined;
    const cut = meanOf(rows, "completion/truncated_share");
    if (cut < CUT) return undefined;
    const { config, facts, evidence } = view;
    const scheduled = rows.at(-1)!["curriculum/max_tokens"];
    const setting = scheduled === undefined ? "rollout.max_tokens" : "the curriculum's max_tokens";
    const what = `${percent(cut)} of outputs are cut at ${setting} ${scheduled ?? config.rollout.maxTokens}`;
    const ends = facts.ends.join(", ");
    const missed = meanOf(rows, "completion/missed_end_share");
    if (missed >= 0.3)
      return `${what}; in ${percent(missed)} of those the policy writes ${evidence.missedEnd ?? "a special token"}, which does not end an output (ends: ${ends}): the end token is wrong; state it in generation_config.json beside the checkpoint, or in rollout.stop`;
    const looping = meanOf(rows, "completion/looping_share");
    if (looping >= 0.5)
      return `${what}; ${percent(looping)} of those end in a loop: the policy has no end to write (ends: ${ends}), or it has collapsed`;
    const none = cut === 1 ? `; not one output has ended (ends: ${ends})` : "";
    const masked = config.algorithm.maskTruncated ? " and left out of the loss" : "";
    return `${what}${masked} before they end${none}: raise ${scheduled === undefined ? setting : "max_tokens of its entry"}, or check that the template asks for an answer that ends`;
  },
};

/** An ordinary token ends outputs. */
const ordinaryEnd: Diagnosis = {
  name: "wrong end token",
  needs: [],
  explains: ["empty outputs", "outputs are cut", ...LOST],
  find({ facts, rows }) {
    if (facts.ordinaryEnds.length === 0) return undefined;
    const length = meanOf(rows.slice(-STEPS), "completion/terminated_length_mean");
    const after = Number.isNaN(length) ? "" : `; outputs that end have ${length.toFixed(1)} tokens`;
    return `the tokenizer's end token ${facts.ordinaryEnds.join(", ")} is ordinary text, so outputs end wherever it is written${after}: state the right one in generation_config.json beside the checkpoint`;
  },
};

/** Outputs end at once. */
const emptyOutputs: Diagnosis = {
  name: "empty outputs",
  needs: ["completion/length_mean"],
  explains: LOST,
  find(view) {
    const rows = newest(view, STEPS);
    if (!rows) return undefined;
    const length = meanOf(rows, "completion/length_mean");
    const right = passRate(rows.at(-1)!) ?? 0;
    if (!(length < 1.5) || right > 0.05 || view.config.rollout.maxTokens < 2) return undefined;
    return `outputs have ${length.toFixed(1)} tokens on average, their end included (ends: ${view.facts.ends.join(", ")}): the end token is one that the policy writes at once, or the prompt already is a finished text`;
  },
};

/** The sampler is not the trainer's policy, by more than rounding. */
const samplerDiffers: Diagnosis = {
  name: "sampler and trainer differ",
  needs: ["policy/sampler_difference_mean"],
  find(view) {
    const rows = newest(view, STEPS);
    const limit = ROUNDING[view.facts.dtype];
    if (!rows || !rows.every((row) => row["policy/sampler_difference_mean"]! > limit)) return undefined;
    return `log-probabilities of sampler and trainer differ by ${meanOf(rows, "policy/sampler_difference_mean").toPrecision(2)} nats on average, rounding gives less than ${limit}: the outputs come from other weights than those that learn, or from another temperature`;
  },
};

/** Truncated sampling leaves out much of what the objective is about. */
const narrowSampling: Diagnosis = {
  name: "sampling is cut far",
  needs: ["policy/kept_mass_mean"],
  find(view) {
    const rows = newest(view, STEPS);
    const mass = rows ? meanOf(rows, "policy/kept_mass_mean") : Number.NaN;
    if (!(mass < 0.9) || view.config.rollout.replaySupport) return undefined;
    const { topK, topP, minP } = view.config.rollout;
    return `outputs are drawn from ${percent(mass)} of the policy's mass (top_k ${topK}, top_p ${topP}, min_p ${minP}), and the objective is about all of it: widen the sampling, or set rollout.replay_support`;
  },
};

export const samplingRules = [
  repeatedQuestions,
  noVariance,
  atRandom,
  truncation,
  ordinaryEnd,
  emptyOutputs,
  samplerDiffers,
  narrowSampling,
];
