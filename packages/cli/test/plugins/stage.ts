// A plugin for tests: a stage that counts the words of files, with settings, an estimate, outputs, figures and a part of the report.
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { defineStage, outputsNamed, readJsonl } from "@nsa/core";
import { z } from "zod";

const stage = defineStage({
  name: "count_words",
  about: "count the words of files",
  schema: z.strictObject({
    name: z.string().default("words").describe("Part of the run folder's name"),
    files: z.array(z.string()).min(1).describe("Texts"),
    minLetters: z.int().min(1).default(1).describe("Shorter words do not count"),
  }),
  async run({ files, minLetters }, context) {
    context.emit({ type: "start", totalSteps: files.length, step: 0 });
    let words = 0;
    for (const [i, file] of files.entries()) {
      const all = readFileSync(file, "utf8").match(/\p{L}+/gu) ?? [];
      words += all.filter((word) => word.length >= minLetters).length;
      const metrics = { "words/total": words };
      context.emit({ type: "step", step: i + 1, totalSteps: files.length, metrics });
    }
    const total = join(context.runDir, "total");
    writeFileSync(total, String(words));
    context.emit({ type: "done", step: files.length, metrics: { "words/total": words } });
    return { status: "completed", step: files.length, metrics: { "words/total": words }, outputs: { total } };
  },
  // In a pipeline a file may be the output of a stage that has not run yet.
  estimate: ({ files }) => ({
    bytes: files.reduce((sum, file) => sum + (existsSync(file) ? statSync(file).size : 0), 0),
  }),
  plannedOutputs: outputsNamed("total"),
  inputFiles: ({ files }) => files,
  figures: [{ metric: "words/total", label: "words", format: "count" }],
  overview: { result: "{words/total} words" },
  sections: (runDir) => [
    {
      title: "Words by file",
      kind: "table",
      columns: ["file", "words so far"],
      rows: readJsonl<Record<string, number>>(join(runDir, "metrics.jsonl")).map((row) => [
        String(row.step),
        row["words/total"] ?? 0,
      ]),
    },
  ],
});

export default { kind: "stage", ...stage };
