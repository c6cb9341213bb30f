// A run's report shows what it warned of, the error that ended it, and beside each sample its gold and the parts of its reward.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { NsaError } from "@nsa/core";
import { expect, test } from "vitest";
import { writeReport } from "../src/report/report.ts";

const lines = (rows: object[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join("");

async function reportOf(files: Record<string, string>, error?: unknown): Promise<string> {
  const dir = mkdtempSync(join(tmpdir(), "nsa-report-"));
  try {
    for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, name), text);
    return readFileSync(await writeReport(dir, [], error), "utf8");
  } finally {
    rmSync(dir, { recursive: true });
  }
}

test("warnings_are_listed_once_in_their_order_and_remarks_are_not", async () => {
  const log = [
    "2026-01-02T03:04:05.000Z info 12 documents",
    "2026-01-02T03:04:06.000Z warn step 3: constant reward: <b> & so on",
    "2026-01-02T03:04:07.000Z warn step 9: no update",
    "2026-01-02T03:04:08.000Z warn step 3: constant reward: <b> & so on",
  ];
  const html = await reportOf({ "log.txt": `${log.join("\n")}\n` });
  expect(html).toContain(
    "<h2>Warnings</h2><ul><li>step 3: constant reward: &lt;b&gt; &amp; so on</li><li>step 9: no update</li></ul>",
  );
  expect(html).not.toContain("12 documents");
  const many = Array.from({ length: 43 }, (_, i) => `2026-01-02T03:04:06.000Z warn number ${i}\n`).join("");
  const cut = await reportOf({ "log.txt": many });
  expect(cut).toContain("<li>number 39</li></ul><p>3 more are in log.txt.</p>");
  expect(await reportOf({ "log.txt": "2026-01-02T03:04:05.000Z info fine\n" })).not.toContain("Warnings");
});

test("the_error_that_ended_a_run_is_shown", async () => {
  const error = new NsaError({
    code: "x",
    what: "step 4: stale",
    why: "old weights",
    fix: "report it",
    exitCode: 1,
  });
  const html = await reportOf({}, error);
  expect(html).toContain("<h2>Ended by an error</h2><p>step 4: stale: old weights. Fix: report it.</p>");
  const bug = await reportOf({}, new Error("no such tensor"));
  expect(bug).toContain("<h2>Ended by an error</h2><p>no such tensor.</p>");
});

test("samples_show_gold_reward_and_its_parts_and_a_single_evaluation_its_greedy_figure", async () => {
  const sample = { step: 2, question: "3+4", completion: "8", answer: "7", reward: 0.5 };
  const html = await reportOf({
    "samples.jsonl": lines([{ ...sample, parts: { accuracy: 0, format: 0.5 } }]),
    "metrics.jsonl": lines([{ step: 2, "eval/pass_at_1": 0.25, "eval/greedy_pass_at_1": 0.75 }]),
  });
  expect(html).toContain(
    "<td>2</td><td><pre>3+4</pre></td><td><pre>8</pre></td><td>7</td><td>0.5</td><td>accuracy 0, format 0.5</td>",
  );
  expect(html).toContain("step 2: pass@1 0.250, greedy pass@1 0.750.");
});
