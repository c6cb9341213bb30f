// Events as lines: one per step for people, or JSON objects for programs.
import type { StageEvent } from "@nsa/core";
import { figure } from "./format.ts";

const SHOWN = [
  "train/loss",
  "val/loss",
  "reward/mean",
  "rollout/pass_rate",
  "eval/pass_at_1",
  "policy/entropy",
  "kl/mean",
  "completion/length_mean",
  "train/grad_norm",
  "train/lr",
  "perf/tokens_per_sec",
  "perf/rollout_tokens_per_sec",
];

function shown(metrics: Record<string, number>): string {
  const names = SHOWN.filter((name) => name in metrics);
  return names.map((name) => `${name.slice(name.indexOf("/") + 1)} ${figure(metrics[name]!)}`).join("  ");
}

function line(event: StageEvent): string | undefined {
  switch (event.type) {
    case "step":
      return `step ${event.step}/${event.totalSteps}  ${shown(event.metrics)}`;
    case "eval":
      return `eval at ${event.step}  ${shown(event.metrics)}`;
    case "sample":
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
  return (event) => {
    if (kind === "json") {
      console.log(JSON.stringify(event));
      return;
    }
    if (event.type === "step" && event.step !== event.totalSteps && performance.now() - last < 100) return;
    if (event.type === "step") last = performance.now();
    const text = line(event);
    if (text !== undefined) console.log(text);
  };
}
