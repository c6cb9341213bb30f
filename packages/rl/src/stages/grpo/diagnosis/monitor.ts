// Applies all diagnoses after each step, and warns of what they find: at once, and again at growing intervals while it lasts.
//
// Its only state is the series of figures, which a resumed run reads back from metrics.jsonl.
import { join } from "node:path";
import { type Metrics, readJsonl, type StageContext } from "@nsa/core";
import type { GrpoConfig } from "../config.ts";
import { rewardRules } from "./reward-rules.ts";
import type { Diagnosis, DiagnosisView, Evidence, RunFacts, StepRow } from "./rule.ts";
import { samplingRules } from "./sampling-rules.ts";
import { updateRules } from "./update-rules.ts";

/** All diagnoses, in the order in which they warn. */
export const diagnoses: readonly Diagnosis[] = [...updateRules, ...samplingRules, ...rewardRules];

/** Steps between two warnings of one diagnosis at first; doubled each time. */
const REPEAT = 25;
/** Steps that are looked back at. */
const HISTORY = 100;

export class DiagnosisMonitor {
  private readonly rows: StepRow[] = [];
  private held: StepRow | undefined;
  /** Step of the last warning of each diagnosis, and the steps until its next. */
  private readonly warned = new Map<string, { step: number; pause: number }>();

  constructor(
    private readonly config: GrpoConfig,
    private readonly facts: RunFacts,
    private readonly warn: (text: string) => void,
  ) {}

  /** `step`: the last one done, whose figures and warnings are restored. */
  static open(config: GrpoConfig, facts: RunFacts, ctx: StageContext, step: number): DiagnosisMonitor {
    const restored = { done: false };
    const monitor = new DiagnosisMonitor(config, facts, (text) => {
      if (restored.done) ctx.log(text, "warn");
    });
    if (step > 0)
      for (const row of readJsonl<StepRow>(join(ctx.runDir, "metrics.jsonl"))) {
        if (row.step > step) break;
        if (row["eval/pass_at_1"] !== undefined) monitor.evaluated(row, row.step);
        else if (row["reward/mean"] !== undefined) monitor.observe(row, row.step);
      }
    restored.done = true;
    return monitor;
  }

  /** Figures of a step that was done. */
  observe(figures: Metrics, step: number, evidence: Evidence = {}): void {
    this.rows.push({ ...figures, step });
    if (this.rows.length > HISTORY) this.rows.shift();
    this.judge(step, evidence);
  }

  /** Figures of a held-out evaluation after the newest step. */
  evaluated(figures: Metrics, step: number): void {
    this.held = { ...figures, step };
    if (this.rows.length > 0) this.judge(step, {});
  }

  private judge(step: number, evidence: Evidence): void {
    const { rows, held, config, facts } = this;
    const view: DiagnosisView = { rows, config, facts, evidence, ...(held ? { held } : {}) };
    const explained = new Set(
      diagnoses.flatMap(({ name, explains }) => (this.warned.has(name) ? (explains ?? []) : [])),
    );
    for (const { name, find, explains } of diagnoses) {
      const text = explained.has(name) ? undefined : find(view);
      if (text === undefined) continue;
      for (const consequence of explains ?? []) explained.add(consequence);
      const before = this.warned.get(name);
      if (before && step - before.step < before.pause) continue;
      this.warned.set(name, { step, pause: before ? 2 * before.pause : REPEAT });
      this.warn(`step ${step}: ${name}: ${text}`);
    }
  }
}
