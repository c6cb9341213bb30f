// Watches a run for reward hacking: figures of each step, examples of outputs on which reward and rule disagree, and the alarm.
//
// Its only state is the series of past figures, which a resumed run reads back from metrics.jsonl.
import { join } from "node:path";
import { JsonlFile, type Metrics, readJsonl, type StageContext } from "@nsa/core";
import type { RewardConfig } from "../../../rewards/config.ts";
import type { GrpoConfig } from "../config.ts";
import { curriculumAt } from "../curriculum.ts";
import type { Rollout } from "../rollout.ts";
import { type HackingAlarm, HISTORY, hackingAlarm, type StepVerdicts } from "./alarm.ts";
import { disagreements, type Judged, judgedOutputs, verdictMetrics } from "./figures.ts";
import { lengthFigures } from "./length.ts";

/** Steps between two warnings while the alarm lasts. */
const REPEAT = 25;
/** Disagreements that are recorded of a step, and outputs that the first warning shows. */
const EXAMPLES = 2;
const SHOWN = 3;

const isRule = ({ kind }: RewardConfig) => kind === "accuracy" || kind === "code";

/** What decides the level of rewards and of pass rates at a step. */
export function settingsAt(
  config: GrpoConfig,
  step: number,
): Pick<StepVerdicts, "rewards" | "questions" | "ruleToCome"> {
  const counts = ({ fromStep, toStep = config.steps }: RewardConfig) => step >= fromStep && step <= toStep;
  const inForce = config.rewards.flatMap((reward, i) => (counts(reward) ? [i] : []));
  const iteration = config.iterations ? Math.floor((step - 1) / config.iterations.steps) : 0;
  return {
    rewards: JSON.stringify([inForce, iteration]),
    questions: JSON.stringify(curriculumAt(config, step)),
    ruleToCome: config.rewards.some((r) => isRule(r) && r.weight > 0 && r.fromStep > step),
  };
}

/** A step's figures from its metrics; undefined where its outputs had no verdicts. */
function verdictsOf(metrics: Metrics, config: GrpoConfig, step: number): StepVerdicts | undefined {
  const passRate = metrics["verdict/pass_rate"];
  if (passRate === undefined) return undefined;
  return {
    step,
    outputs: metrics["verdict/outputs"]!,
    passRate,
    reward: metrics["reward/mean"]!,
    rewardStd: metrics["reward/std"]!,
    auc: metrics["verdict/auc"],
    aucStd: metrics["verdict/auc_std"] ?? 0,
    mixed: metrics["verdict/mixed_questions"]!,
    ...settingsAt(config, step),
  };
}

const percent = (x: number) => `${(100 * x).toFixed(1)} %`;
const short = (text: string) => JSON.stringify(text.length > 160 ? `${text.slice(0, 160)}…` : text);

function describe({ sign, passRate, reward, auc }: HackingAlarm): string {
  const course = `reward ${reward[0].toFixed(3)} → ${reward[1].toFixed(3)}, pass rate ${percent(passRate[0])} → ${percent(passRate[1])}`;
  const ranked =
    auc === undefined
      ? "no question has right and wrong outputs"
      : `a right output earns more than a wrong one of its question in ${percent(auc)} of pairs, ties counted half`;
  const why =
    sign === "parted"
      ? "the reward rises while the pass rate falls"
      : "the reward does not rank right outputs over wrong ones";
  return `possible reward hacking: ${why} (${course}; ${ranked})`;
}

export class HackingMonitor {
  private readonly series: StepVerdicts[] = [];
  private readonly file: JsonlFile;
  /** Step of the last warning. */
  private warned: number | undefined;

  private constructor(
    private readonly config: GrpoConfig,
    private readonly ctx: StageContext,
  ) {
    this.file = new JsonlFile(join(ctx.runDir, "disagreements.jsonl"));
  }

  /** `step`: the last one done; what was recorded after it is dropped. */
  static open(config: GrpoConfig, ctx: StageContext, step: number): HackingMonitor {
    const monitor = new HackingMonitor(config, ctx);
    monitor.file.truncateToStep(step);
    const rows = step > 0 ? readJsonl<Metrics & { step: number }>(join(ctx.runDir, "metrics.jsonl")) : [];
    for (const row of rows) {
      if (row.step > step) break;
      monitor.add(verdictsOf(row, config, row.step));
      if (row["verdict/alarm"] === 1) monitor.warns(row.step);
    }
    return monitor;
  }

  /** Figures of the step's outputs, with `verdict/alarm` 1 or 0, and the pass rate of recipes that do not reward it; warns where there is an alarm. */
  observe({ outputs }: Rollout, figures: Metrics, step: number, judged = judgedOutputs(outputs)): Metrics {
    const metrics = { ...verdictMetrics(judged), ...(judged.length > 0 ? lengthFigures(judged) : {}) };
    const verdicts = verdictsOf({ ...figures, ...metrics }, this.config, step);
    if (!verdicts) return {};
    this.add(verdicts);
    this.record(judged, step);
    const alarm = hackingAlarm(this.series);
    if (alarm) this.warn(alarm, judged, step);
    const passRate = figures["rollout/pass_rate"] ?? verdicts.passRate;
    return { ...metrics, "rollout/pass_rate": passRate, "verdict/alarm": alarm ? 1 : 0 };
  }

  close(): void {
    this.file.close();
  }

  private add(verdicts: StepVerdicts | undefined): void {
    if (verdicts) this.series.push(verdicts);
    if (this.series.length > HISTORY) this.series.shift();
  }

  private record(judged: readonly Judged[], step: number): void {
    for (const { wrong, right } of disagreements(judged, EXAMPLES)) {
      const { id, question, answer } = wrong.output.row;
      const side = ({ output, reward }: Judged) => ({ reward, completion: output.row.completion });
      this.file.append({ step, id, question, gold: answer, wrong: side(wrong), right: side(right) });
    }
  }

  /** Whether a warning is due at a step with an alarm; notes it. */
  private warns(step: number): boolean {
    const due = this.warned === undefined || step - this.warned >= REPEAT;
    if (due) this.warned = step;
    return due;
  }

  private warn(alarm: HackingAlarm, judged: readonly Judged[], step: number): void {
    const first = this.warned === undefined;
    if (!this.warns(step)) return;
    const wrong = judged.filter(({ right }) => !right).sort((a, b) => b.reward - a.reward);
    const shown = new Map<string, string>();
    for (const { reward, output } of wrong) {
      const { completion, question, answer } = output.row;
      // A policy that has found its trick writes it many times.
      if (shown.size === SHOWN || shown.has(completion)) continue;
      const asked = `${short(question)}, whose answer is ${short(answer)}`;
      shown.set(completion, `${reward.toFixed(3)} for ${short(completion)} to ${asked}`);
    }
    const best = [...shown.values()];
    const examples =
      first && best.length > 0 ? `. Best-paid wrong outputs of this step: ${best.join("; ")}` : "";
    this.ctx.log(`step ${step}: ${describe(alarm)}${examples}`, "warn");
  }
}
