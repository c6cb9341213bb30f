// Recorded outputs in a run's report: some questions of the newest step, each with all of its outputs.
import { join } from "node:path";
import type { ReportSection } from "@nsa/core";
import { groupsOf, type RolloutGroup, type ShownOutput } from "./groups.ts";
import { RolloutStore } from "./store.ts";

const QUESTIONS = 4;
const TEXT = 400;

const cut = (text: string) => (text.length <= TEXT ? text : `${text.slice(0, TEXT)} …`);

function stateOf({ fault, discarded, learned }: ShownOutput): string {
  if (fault !== undefined) return "no reward";
  return discarded ? "discarded" : learned ? "learned" : "left out";
}

function section({ step, id, question, answer, outputs }: RolloutGroup): ReportSection {
  return {
    title: `Outputs of step ${step}: ${id}, ${cut(question)} (gold ${cut(answer)})`,
    kind: "table",
    columns: ["output", "reward", "advantage", "tokens", "in the loss", "text"],
    rows: outputs.map((o) => [
      String(o.output),
      o.reward ?? "–",
      o.advantage,
      String(o.tokens),
      stateOf(o),
      cut(o.completion),
    ]),
  };
}

/** Questions that taught something come first. */
export function rolloutSections(runDir: string): ReportSection[] {
  const store = new RolloutStore(join(runDir, "rollouts"));
  const step = store.steps().at(-1);
  if (step === undefined) return [];
  const groups = groupsOf(store, step);
  const teaches = (g: RolloutGroup) => g.outputs.some((o) => o.learned && o.advantage !== 0);
  const ordered = [...groups.filter(teaches), ...groups.filter((g) => !teaches(g))];
  return ordered.slice(0, QUESTIONS).map(section);
}
