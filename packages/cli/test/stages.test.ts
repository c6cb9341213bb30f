// The table of stages against their definitions, and what a pipeline's page says of a stage.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { STAGE_TABLE } from "../src/commands/stage-table.ts";
import { loadStage, STAGES } from "../src/commands/stages.ts";
import { MODULES } from "../src/plugins/host.ts";
import type { Row } from "../src/report/charts.ts";
import { resultOf } from "../src/report/overview.ts";
import { drawSections } from "../src/report/sections.ts";
import { root } from "./built.ts";

test("the_table_says_of_each_stage_what_its_definition_says", async () => {
  expect(STAGES).toEqual([
    "crawl",
    "data",
    "tokenizer",
    "tokenize",
    "pretrain",
    "sft",
    "reward",
    "dpo",
    "grpo",
    "sample",
    "eval",
  ]);
  for (const name of STAGES) {
    const stage = await loadStage(name);
    expect([stage.name, stage.about]).toEqual([name, STAGE_TABLE[name]!.about]);
  }
});

test("plugins_share_every_package_but_the_command_line", () => {
  const packages = readdirSync(join(root, "packages")).filter((name) => name !== "cli");
  expect(Object.keys(MODULES).filter((name) => name !== "zod")).toEqual(
    packages.map((name) => `@nsa/${name}`),
  );
});

test("a_result_takes_the_last_value_the_first_name_that_is_there_and_the_end_of_a_name", () => {
  const rows: Row[] = [
    { step: 1, "train/loss": 3.25, "corpus/tokens": 1500, "eval/a/accuracy": 0.5 },
    { step: 2, "train/loss": 2.125 },
    { step: 3, "eval/b/accuracy": 0.125, "eval/c/accuracy": 0.75 },
  ];
  expect(resultOf("validation loss {val/loss|train/loss:figure}", rows)).toBe("validation loss 2.125");
  expect(resultOf("{corpus/tokens:count} tokens, {corpus/pages:count} pages", rows)).toBe(
    "1.5k tokens, – pages",
  );
  expect(resultOf("accuracy {*/accuracy:percent}", rows)).toBe("accuracy 12.5 %");
  expect(resultOf("{corpus/tokens} tokens", rows)).toBe("1500 tokens");
  expect(resultOf("{val/loss:figure}", rows)).toBe("");
  expect(resultOf("done", [])).toBe("done");
});

test("every_kind_of_section_is_drawn_with_its_values_and_none_of_its_text_is_markup", () => {
  const drawn = drawSections([
    { title: "A <b>", kind: "table", columns: ["name", "n"], rows: [["<i>", 12345.678]] },
    {
      title: "B",
      kind: "curve",
      columns: ["step", "up"],
      rows: [
        [1, 10],
        [2, 30],
      ],
    },
    {
      title: "C",
      kind: "bars",
      columns: ["label", "value"],
      rows: [
        ["left", 0.5],
        ["right", 2],
      ],
    },
    {
      title: "D",
      kind: "heat",
      columns: ["depth", "k1", "k2"],
      rows: [
        ["top", 0.25, 0.75],
        ["end", 0.125, 1],
      ],
    },
    { title: "E", kind: "text", columns: [], rows: [["a < b"]] },
  ]);
  expect(drawn).not.toMatch(/<b>|<i>/);
  for (const part of [
    "12350",
    "&lt;i&gt;",
    "M52.0,214.0L450.0,34.0",
    ">left<",
    ">right<",
    ">k2<",
    ">top<",
    "a &lt; b",
  ])
    expect(drawn).toContain(part);
});
