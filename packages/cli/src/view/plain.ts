// Events as lines: one per step for people, or JSON objects for programs.
import type { StageEvent } from "@nsa/core";
import { figure } from "./format.ts";

/** What a line tells, in this order, under these names. */
const SHOWN: Record<string, string> = {
  "train/loss": "loss",
  "val/loss": "val_loss",
  "val/bits_per_byte": "bits_per_byte",
  "dpo/accuracy": "accuracy",
  "dpo/margin": "margin",
  "val/dpo/accuracy": "val_accuracy",
  "val/dpo/margin": "val_margin",
  "held_out/accuracy": "accuracy",
  "held_out/pair_accuracy": "pairs_right",
  "held_out/auc": "auc",
  "reward/mean": "reward",
  "rollout/pass_rate": "pass_rate",
  "eval/pass_at_1": "pass@1",
  "eval/greedy_pass_at_1": "greedy",
  "verdict/auc": "right_over_wrong",
  "reward/echo_share": "echoes",
  "policy/entropy": "entropy",
  "kl/mean": "kl",
  "completion/length_mean": "length",
  "train/grad_norm": "grad_norm",
  "train/lr": "lr",
  "perf/tokens_per_sec": "tokens_per_sec",
  "perf/rollout_tokens_per_sec": "rollout_tokens_per_sec",
  "perf/mfu": "mfu",
};

/** Metrics of a stage that has none of the known ones are told as they are, the first few of them. */
const OTHERS = 8;

/** Figures of a task that a line shows, by the end of their names: `eval/gsm8k/pass_at_1`. */
const OF_TASKS =
  /^eval\/.+\/(accuracy|pass_at_1|maj_at_\d+|rm_at_\d+|reward_at_\d+|bits_per_byte|retrieved)$/;

function shown(metrics: Record<string, number>): string {
  const known = Object.keys(SHOWN).filter((name) => name in metrics);
  const ofTasks = Object.keys(metrics).filter((name) => OF_TASKS.test(name));
  const found = [...known, ...lastOfEach(ofTasks)];
  const names = found.length > 0 ? found : Object.keys(metrics).slice(0, OTHERS);
  return names.map((name) => `${SHOWN[name] ?? name} ${figure(metrics[name]!)}`).join("  ");
}

/** Of the figures at several K only the one at the largest. */
function lastOfEach(names: readonly string[]): string[] {
  const kind = (name: string) => name.replace(/_at_\d+$/, (at) => (at === "_at_1" ? at : ""));
  return [...new Map(names.map((name) => [kind(name), name])).values()];
}

function line(event: StageEvent, total: number): string | undefined {
  switch (event.type) {
    case "step":
      return `step ${event.step}/${event.totalSteps}  ${shown(event.metrics)}`;
    case "eval":
      // Figures of a whole run are recorded behind its last step.
      return `eval at ${Math.min(event.step, total)}  ${shown(event.metrics)}`;
    case "sample":
      // One per step for the screen; lines would drown the figures, and samples.jsonl has all of them.
      if (event.recorded) return undefined;
      return `sample at ${event.step}  ${JSON.stringify(event.prompt + event.text)}`;
    case "checkpoint":
      return `saved ${event.path}`;
    case "log":
      return event.level === "warn" ? `warning: ${event.text}` : event.text;
    case "done":
      return `done at ${event.step}  ${shown(event.metrics)}`;
    default:
      return undefined;
  }
}

/** A listener that prints to stdout; people see at most about ten step lines a second. */
export function printer(kind: "plain" | "json"): (event: StageEvent) => void {
  let last = 0;
  let total = Number.POSITIVE_INFINITY;
  return (event) => {
    if (event.type === "start") total = event.totalSteps;
    if (kind === "json") {
      console.log(JSON.stringify(event));
      return;
    }
    if (event.type === "step" && event.step !== event.totalSteps && performance.now() - last < 100) return;
    if (event.type === "step") last = performance.now();
    const text = line(event, total);
    if (text !== undefined) console.log(text);
  };
}
