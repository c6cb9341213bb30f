// The checkpoints of a pipeline that were sampled on held-out questions, side by side: one table a part of the task.
import { join } from "node:path";
import { escapeHtml, table } from "@nsa/report";
import { type PartFigures, readPartFigures, shownFigure } from "@nsa/rl";
import { parse } from "yaml";
import { readIfThere } from "./run-files.ts";
import type { StageFolder } from "./stage-folder.ts";

/** A stage that sampled held-out questions. */
interface Asked {
  /** The stage whose checkpoint was asked. */
  of: string;
  folder: StageFolder;
  parts: PartFigures[];
}

function asked(folder: StageFolder): Asked[] {
  if (folder.stage.stage !== "sample") return [];
  const parts = readPartFigures(folder.path);
  const recipe = parse(readIfThere(join(folder.path, "config.yaml"))) as {
    prompts?: { split?: string };
  } | null;
  if (!parts || recipe?.prompts?.split !== "heldout") return [];
  const init = folder.stage.set.find((text) => text.startsWith("init.checkpoint="));
  return [{ of: /^init\.checkpoint=\{([\w-]+)\./.exec(init ?? "")?.[1] ?? folder.stage.name, folder, parts }];
}

/** Tables of all such stages; nothing for pipelines with fewer than two. */
export function heldOutTables(folders: readonly StageFolder[]): string {
  const all = folders.flatMap(asked);
  if (all.length < 2) return "";
  const names = [...new Set(all.flatMap(({ parts }) => parts.map(({ part }) => part)))];
  const tables = names.map((name) => {
    const of = all.map(({ parts }) => parts.find(({ part }) => part === name));
    const labels = [...new Set(of.flatMap((one) => Object.keys(one?.figures ?? {})))];
    const rows = all.map(({ of: stage, folder }, i) => [
      `<a href="${folder.link}">${escapeHtml(stage)}</a>`,
      of[i]?.questions ?? "",
      ...labels.map((label) => shownFigure(of[i]?.figures[label])),
    ]);
    return `<h3>${escapeHtml(name === "" ? "all" : name)}</h3>${table(["checkpoint", "questions", ...labels], rows, [0])}`;
  });
  return `<h2>Held-out questions by stage</h2>${tables.join("")}
<p class="note">Means over questions with 95 % intervals (Wilson's where there is one answer a question). right: the rule's verdict; the others are rewards, of which judge is what people would say where no rule decides.</p>`;
}
