// Applies all diagnoses after each step, and warns of what they find: at once, and again at growing intervals while it lasts.
//
// Its only state is the series of figures, which a resumed run reads back from metrics.jsonl.
import { join } from "node:path";
import { type Metrics, readJsonl, type StageContext } from "@nsa/core";
import type { GrpoConfig } from "../config.ts";
import { rewardRules } from "./reward-rules.ts";
import type { Diagnosis, Evidence, RunFacts, StepRow } from "./rule.ts";
import { samplingRules } from "./sampling-rules.ts";
import { updateRules } from "./update-rules.ts";

/** All diagnoses, in the order in which they warn. */
export const diagnoses: readonly Diagnosis[] = [...updateRules, ...samplingRules, ...rewardRules];

/** Steps between two warnings of one diagnosis at first; doubled each time. */
const REPEAT = 25;
/** Steps that are looked back at. */
const HISTORY = 100;
/** Steps for which what a diagnosis explains is silent after it was last made: a policy that was ruined recovers slowly. */
const EXPLAINED = 25;
/** Share of groups without a signal below which a step teaches. */
const TEACHES = 0.8;

/** JSON has no NaN: a diverged run writes it as a text. */
function dropTexts(row: Record<string, unknown>): void {
  for (const [name, value] of Object.entries(row)) if (typeof value !== "number") delete row[name];
}

/** The newest rows, as far back as all of them have these figures. */
function rowsWith(rows: readonly StepRow[], needs: readonly string[]): readonly StepRow[] {
  const lacking = rows.findLastIndex((row) => needs.some((name) => row[name] === undefined));
  return rows.slice(lacking + 1);
}

export class DiagnosisMonitor {
  private readonly rows: StepRow[] = [];
  private held: StepRow | undefined;
  /** Step of the last warning of each diagnosis, and the steps until its next. */
  private readonly warned = new Map<string, { step: number; pause: number }>();
  /** Step at which each diagnosis was last made, warned of or not. */
  private readonly made = new Map<string, number>();
  private learned = false;

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
        dropTexts(row);
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
    this.learned ||= (figures["rollout/zero_variance_share"] ?? 1) < TEACHES;
    this.judge(step, evidence);
  }

  /** Figures of a held-out evaluation after the newest step. */
  evaluated(figures: Metrics, step: number): void {
    this.held = { ...figures, step };
    if (this.rows.length > 0) this.judge(step, {});
  }

  private judge(step: number, evidence: Evidence): void {
    const { held, config, facts, learned, made } = this;
    const explained = new Set(
      diagnoses.flatMap(({ name, explains }) =>
        step - (made.get(name) ?? Number.NEGATIVE_INFINITY) < EXPLAINED ? (explains ?? []) : [],
      ),
    );
    for (const { name, find, explains, needs } of diagnoses) {
      const rows = rowsWith(this.rows, needs);
      if (rows.length === 0 || explained.has(name)) continue;
      const text = find({ rows, learned, config, facts, evidence, ...(held ? { held } : {}) });
      if (text === undefined) continue;
      made.set(name, step);
      for (const consequence of explains ?? []) explained.add(consequence);
      const before = this.warned.get(name);
      if (before && step - before.step < before.pause) continue;
      this.warned.set(name, { step, pause: before ? 2 * before.pause : REPEAT });
      this.warn(`step ${step}: ${name}: ${text}`);
    }
  }
}
