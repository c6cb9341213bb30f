// Recorded outputs by question, their filter, a person's labels, and the part of the report that shows them.
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { JsonlFile, readJsonl } from "@nsa/core";
import { afterAll, expect, test } from "vitest";
import { needs } from "../../core/test/needs.ts";
import {
  groupsOf,
  grpoStage,
  LabelFile,
  labelsInForce,
  RolloutStore,
  stepsOf,
  verdictsOf,
} from "../src/index.ts";
import type { RecordedOutput, RecordedTokens } from "../src/rollouts/record.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-labels-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** An output with its reward and the advantage of each token. */
function output(n: number, group: number, reward: number | null, advantage: number[], more: object = {}) {
  const row = {
    ...{ output: n, group, id: `q${group}`, question: `${group}+1`, answer: `${group + 1}` },
    ...{ prompt: `${group}+1=`, prompt_ids: [1], completion: `text ${n}`, finish: "stop", reward },
    ...{ parts: { accuracy: reward ?? 0 }, policy_version: 0, policy_weights: "00", ...more },
  } as RecordedOutput;
  const t: RecordedTokens = {
    ids: advantage.map(() => 5),
    samplerLogp: advantage.map((_, i) => -1 - i),
    oldLogp: advantage.map((_, i) => -1.25 - 1.5 * i),
    advantage,
    weight: reward === null || "discarded" in more ? 0 : 1,
  };
  return { row, t };
}

function storeWith(runDir: string, step: number, items: ReturnType<typeof output>[]): RolloutStore {
  const store = new RolloutStore(join(runDir, "rollouts"));
  store.write({
    ...{ step, weightSum: 1, weightsBefore: "00", weightsAfter: "01", gradients: ["02"] },
    outputs: items.map(({ row }) => row),
    tokens: items.map(({ t }) => t),
  });
  return store;
}

const run = mkdtempSync(join(root, "run-"));
storeWith(run, 3, [output(0, 7, 1, [2, 4]), output(1, 7, 0.5, [-1])]);
const store = storeWith(run, 5, [
  output(0, 8, 0, [0, 0]),
  output(1, 8, 0, [0], { discarded: true }),
  output(2, 9, 1, [0.5, 1, 1.5]),
  output(3, 9, null, [0], { fault: "threw: no" }),
]);

test("groups_have_their_outputs_with_mean_advantages_and_sampler_differences", () => {
  const [group, ...none] = groupsOf(store, 3);
  expect(none).toEqual([]);
  expect(group).toMatchObject({ step: 3, group: 7, id: "q7", question: "7+1", answer: "8" });
  const shown = group!.outputs.map((o) => [o.output, o.reward, o.advantage, o.tokens, o.sampler_difference]);
  expect(shown).toEqual([
    [0, 1, 3, 2, 0.75],
    [1, 0.5, -1, 1, 0.25],
  ]);
  const learned = groupsOf(store, 5).map((g) => g.outputs.map((o) => o.learned));
  expect(learned).toEqual([
    [true, false],
    [true, false],
  ]);
});

test("steps_questions_and_rewards_are_filtered_and_groups_stay_whole", () => {
  expect(stepsOf(store)).toEqual([3, 5]);
  expect(stepsOf(store, { step: 5 })).toEqual([5]);
  expect(stepsOf(store, { step: 4 })).toEqual([]);
  const ids = (filter: object) => groupsOf(store, 5, filter).map((g) => [g.id, g.outputs.length]);
  expect(ids({ question: "q8" })).toEqual([["q8", 2]]);
  expect(ids({ question: "9+" })).toEqual([["q9", 2]]);
  expect(ids({ question: "q" })).toEqual([]);
  expect(ids({ minReward: 0.5 })).toEqual([["q9", 2]]);
  expect(ids({ maxReward: 0.5 })).toEqual([["q8", 2]]);
  expect(ids({ minReward: 2 })).toEqual([]);
});

const clock = () => new Date("2026-01-02T03:04:05Z");

test("labels_are_appended_one_row_each_and_the_last_verdict_counts", () => {
  const path = join(mkdtempSync(join(root, "labels-")), "labels.jsonl");
  const labels = new LabelFile(path, clock);
  expect(labels.read()).toEqual([]);
  const [group] = groupsOf(store, 3);
  const [a, b] = group!.outputs;
  labels.verdict(group!, a!, "wrong");
  const first = readFileSync(path, "utf8");
  labels.prefer(group!, b!, a!);
  labels.verdict(group!, a!, "right");
  expect(readFileSync(path, "utf8").startsWith(first)).toBe(true);
  const of = {
    time: "2026-01-02T03:04:05.000Z",
    step: 3,
    group: 7,
    id: "q7",
    question: "7+1",
    prompt: "7+1=",
  };
  const verdict = { kind: "verdict", ...of, output: 0, gold: "8", completion: "text 0" };
  expect(readJsonl(path)).toEqual([
    { ...verdict, verdict: "wrong" },
    {
      ...{ kind: "preference", ...of, chosen_output: 1, rejected_output: 0 },
      ...{ chosen: "text 1", rejected: "text 0" },
    },
    { ...verdict, verdict: "right" },
  ]);
  expect([...verdictsOf(labels.read())]).toEqual([["3/0", "right"]]);
  // A preference turned round corrects the one before it.
  labels.prefer(group!, a!, b!);
  const inForce = (kind: "verdict" | "preference") => labelsInForce(labels.read(), kind);
  expect(inForce("verdict")).toEqual([{ ...verdict, verdict: "right" }]);
  expect(inForce("preference")).toMatchObject([{ chosen: "text 0", rejected: "text 1" }]);
});

test("a_row_that_a_power_cut_left_unfinished_is_cut_off_and_the_others_stay", () => {
  const path = join(mkdtempSync(join(root, "cut-")), "labels.jsonl");
  const [group] = groupsOf(store, 3);
  new LabelFile(path, clock).verdict(group!, group!.outputs[1]!, "right");
  const whole = readFileSync(path, "utf8");
  appendFileSync(path, '{"kind":"verd');
  new LabelFile(path, clock).verdict(group!, group!.outputs[0]!, "wrong");
  expect(readFileSync(path, "utf8").startsWith(whole)).toBe(true);
  expect(readJsonl<{ output: number }>(path).map((row) => row.output)).toEqual([1, 0]);
  // A whole row without its line end is a label.
  writeFileSync(path, whole.trimEnd());
  new LabelFile(path, clock).verdict(group!, group!.outputs[0]!, "wrong");
  expect(readJsonl<{ output: number }>(path).map((row) => row.output)).toEqual([1, 0]);
});

test.each([
  ["null", "data_not_json", "the line is not a JSON object"],
  [
    '{"kind":"verdict","output":0,"verdict":"right"}',
    "data_not_a_label",
    "step: it must be a number, and is absent",
  ],
  [
    '{"kind":"verdict","step":1,"verdict":"right"}',
    "data_not_a_label",
    "output: it must be a number, and is absent",
  ],
  [
    '{"kind":"verdict","step":1,"output":0,"verdict":1}',
    "data_not_a_label",
    "verdict: it must be one of right, wrong, and is 1",
  ],
  [
    '{"kind":"preference","step":1,"chosen_output":0,"chosen":"a","rejected":"b"}',
    "data_not_a_label",
    "rejected_output: it must be a number, and is absent",
  ],
])("a_row_that_is_no_label_is_named_with_its_line_%#", (line, code, why) => {
  const path = join(mkdtempSync(join(root, "no-label-")), "labels.jsonl");
  const good = '\ufeff{"kind":"verdict","step":1,"output":0,"verdict":"right"}\r\n';
  writeFileSync(path, good);
  expect(new LabelFile(path, clock).read()).toMatchObject([{ step: 1, verdict: "right" }]);
  writeFileSync(path, `${good}${line}\n`);
  expect(() => new LabelFile(path, clock).read()).toThrow(
    expect.objectContaining({ code, exitCode: 3, what: `${path}:2`, why }),
  );
});

test("a_folder_in_a_files_place_is_named_by_every_reader_of_lines", () => {
  const path = mkdtempSync(join(root, "folder-"));
  const folder = expect.objectContaining({ code: "path_unusable", exitCode: 3, what: `cannot read ${path}` });
  expect(() => new LabelFile(path, clock)).toThrow(folder);
  expect(() => readJsonl(path)).toThrow(folder);
  expect(() => new JsonlFile(path).truncateToStep(1)).toThrow(folder);
});

test("the_report_shows_questions_of_the_newest_step_those_that_taught_something_first", () => {
  const sections = grpoStage.sections!(run);
  expect(sections.map(({ title }) => title)).toEqual([
    "Outputs of step 5: q9, 9+1 (gold 10)",
    "Outputs of step 5: q8, 8+1 (gold 9)",
  ]);
  expect(sections[0]!.rows).toEqual([
    ["2", 1, 1, "3", "learned", "text 2"],
    ["3", "–", 0, "1", "no reward", "text 3"],
  ]);
  expect(sections[1]!.rows.map((row) => row[4])).toEqual(["learned", "discarded"]);
  expect(grpoStage.sections!(root)).toEqual([]);
});

needs(existsSync("/dev/full"), "there is no /dev/full")(
  "a_full_disk_is_one_error_for_labels_and_for_recorded_steps",
  () => {
    const dir = mkdtempSync(join(root, "full-"));
    const full = expect.objectContaining({ code: "disk_full", exitCode: 3 });
    const labels = new LabelFile(join(dir, "labels.jsonl"), () => new Date(0));
    symlinkSync("/dev/full", labels.path);
    const [group] = groupsOf(store, 5);
    expect(() => labels.verdict(group!, group!.outputs[0]!, "right")).toThrow(full);
    // Rows or tensors that do not fit: the step is not there, and an earlier one still is.
    for (const kind of ["jsonl", "safetensors"]) {
      const own = join(dir, kind);
      const kept = storeWith(own, 1, [output(0, 7, 1, [2])]);
      mkdirSync(join(own, "rollouts"), { recursive: true });
      symlinkSync("/dev/full", join(own, "rollouts", `step-000002.${kind}.partial`));
      expect(() => storeWith(own, 2, [output(0, 7, 1, [2])])).toThrow(full);
      expect(kept.steps()).toEqual([1]);
      expect(kept.read(1).outputs).toHaveLength(1);
    }
  },
);
