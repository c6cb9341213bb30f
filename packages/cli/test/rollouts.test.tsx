// `nsa rollouts`: what the keys do, the page as text, labels by key, rows for scripts, and a real terminal.
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readJsonl } from "@nsa/core";
import { LabelFile, type RolloutGroup, RolloutStore, type ShownOutput } from "@nsa/rl";
import { render } from "ink-testing-library";
import { expect, test } from "vitest";
import { needs } from "../../core/test/needs.ts";
import { Browser } from "../src/view/rollouts/mount.tsx";
import { RolloutPage } from "../src/view/rollouts/page.tsx";
import { type BrowserState, type Key, openBrowser, press } from "../src/view/rollouts/state.ts";
import { buildOnce, bundle, nsa, root } from "./built.ts";
import { tinyPretrain } from "./tiny.ts";

const work = mkdtempSync(join(tmpdir(), "nsa-rollouts-"));

/** Three steps: 1 with questions 1 and 2, 2 with none that passes the filter, 3 with question 3; two outputs each. */
function group(step: number, number: number): RolloutGroup {
  const output = (n: number): ShownOutput =>
    ({
      ...{
        output: n,
        group: number,
        id: `q${number}`,
        question: `${number}+${number}`,
        answer: `${2 * number}`,
      },
      ...{
        prompt: "p",
        prompt_ids: [1],
        completion: `says ${n}\nof ${number}`,
        finish: n ? "length" : "stop",
      },
      ...{ reward: 1 - n, parts: { accuracy: 1 - n }, policy_version: 0, policy_weights: "00" },
      ...{ tokens: 4 + n, advantage: n ? -1.5 : 1.5, learned: true },
    }) as ShownOutput;
  const { id, question, answer } = output(0);
  return { step, group: number, id, question, answer, outputs: [output(0), output(1)] };
}
const recorded: Record<number, RolloutGroup[]> = { 1: [group(1, 1), group(1, 2)], 2: [], 3: [group(3, 3)] };
const load = (step: number) => recorded[step]!;

/** The state after keys, and the labels that they asked for. */
function after(keys: string, labeling = true) {
  let state: BrowserState = openBrowser([1, 2, 3], load, labeling)!;
  const labels: unknown[] = [];
  const names: Record<string, Key> = { "<": "left", ">": "right", "^": "up", v: "down" };
  for (const key of keys) {
    const pressed = press(state, names[key] ?? (key as Key), load);
    state = pressed.state;
    const { label } = pressed;
    if (label?.kind === "verdict") labels.push([label.group.id, label.output.output, label.verdict]);
    if (label?.kind === "preference") labels.push([label.group.id, label.better.output, label.worse.output]);
  }
  const shown = state.groups[state.group]!;
  return { state, labels, place: [shown.step, shown.id, state.output] };
}

test("it_opens_at_the_last_step_and_moves_between_questions_steps_and_outputs", () => {
  expect(after("").place).toEqual([3, "q3", 0]);
  expect(after(">").state.message).toBe("this is the last step");
  expect(after("<").place).toEqual([1, "q2", 0]);
  expect(after("<<").place).toEqual([1, "q1", 0]);
  expect(after("<<<").state.message).toBe("this is the first step");
  expect(after("<<>>").place).toEqual([3, "q3", 0]);
  expect(after("[").place).toEqual([1, "q1", 0]);
  expect(after("[]").place).toEqual([3, "q3", 0]);
  expect(after("v").place).toEqual([3, "q3", 1]);
  expect(after("vv").place).toEqual([3, "q3", 0]);
  expect(after("^").place).toEqual([3, "q3", 1]);
  expect(after("q").state.done).toBe(true);
  expect(openBrowser([2], load, true)).toBeUndefined();
});

test("keys_label_outputs_only_where_labels_are_wanted", () => {
  expect(after("rvw").labels).toEqual([
    ["q3", 0, "right"],
    ["q3", 1, "wrong"],
  ]);
  expect(after("vp^p").labels).toEqual([["q3", 1, 0]]);
  // The same output twice takes the mark back; so does another question.
  expect(after("pp").state.message).toBe("no preference");
  expect(after("pp").labels).toEqual([]);
  expect(after("p<vp").labels).toEqual([]);
  const without = after("rp", false);
  expect([without.labels, without.state.message]).toEqual([[], "labels are written with --label"]);
});

test("the_page_shows_a_question_with_its_outputs_side_by_side", () => {
  const { state } = after("v");
  const verdicts = new Map([["3/1", "wrong" as const]]);
  const { lastFrame } = render(<RolloutPage state={state} verdicts={verdicts} width={100} height={24} />);
  const frame = lastFrame()!;
  const line = frame.split("\n").find((text) => text.includes("#0"))!;
  expect(line).toMatch(/#0 reward 1 advantage \+1\.5.*#1 reward 0 advantage −1\.5/);
  for (const part of [
    "step 3, question 1 of 1: q3",
    "3+3 gold 6",
    "says 0",
    "of 3",
    "a person: wrong",
    "cut",
  ])
    expect(frame).toContain(part);
  // A narrow terminal shows the selected output.
  const narrow = render(
    <RolloutPage state={state} verdicts={verdicts} width={50} height={24} />,
  ).lastFrame()!;
  expect(narrow).toContain("#1 reward");
  expect(narrow).not.toContain("#0 reward");
});

test("a_key_writes_its_label_before_the_next_picture", async () => {
  const labels = new LabelFile(join(work, "labels.jsonl"), () => new Date(0));
  const first = openBrowser([1, 2, 3], load, true)!;
  let done = false;
  const app = render(<Browser first={first} load={load} labels={labels} onDone={() => (done = true)} />);
  const until = async (condition: () => boolean) => {
    while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
  };
  const type = async (keys: string, shown: string) => {
    app.stdin.write(keys);
    await until(() => app.lastFrame()!.includes(shown));
  };
  // Keys that come before it listens are lost.
  await until(() => app.stdin.listenerCount("readable") + app.stdin.listenerCount("data") > 0);
  await type("r", "a person: right");
  // Faster than pictures come.
  for (const key of ["\u001b[B", "p", "\u001b[A"]) app.stdin.write(key);
  await type("p", "output #1 is better than output #0");
  expect(labels.read()).toMatchObject([
    { kind: "verdict", output: 0, verdict: "right" },
    { kind: "preference", chosen_output: 1, rejected_output: 0 },
  ]);
  app.stdin.write("q");
  await until(() => done);
});

/** A run folder with the recorded groups. */
function makeRun(name: string): string {
  const dir = join(work, "runs", name);
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, "config.yaml"), "name: x\n");
  const store = new RolloutStore(join(dir, "rollouts"));
  for (const step of [1, 3]) {
    const outputs = recorded[step]!.flatMap((g) => g.outputs);
    store.write({
      ...{ step, weightSum: 1, weightsBefore: "00", weightsAfter: "01", gradients: [] },
      outputs: outputs.map(({ tokens: _, advantage: __, learned: ___, ...row }) => row),
      tokens: outputs.map(({ tokens, advantage }) => {
        const each = (x: number) => Array.from({ length: tokens }, () => x);
        return {
          ids: each(1),
          samplerLogp: each(-1),
          oldLogp: each(-1),
          advantage: each(advantage),
          weight: 1,
        };
      }),
    });
  }
  return dir;
}

test("rows_for_scripts_are_filtered_and_errors_name_what_is_there", () => {
  makeRun("grpo-x-20260101-000000");
  const show = (...more: string[]) => nsa(["rollouts", "grpo-x", "--runs", join(work, "runs"), ...more]);
  const rows = (...more: string[]) =>
    show("--json", ...more)
      .stdout.trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { step: number; id: string; output: number; advantage: number });
  expect(rows().map(({ step, id, output }) => [step, id, output])).toEqual([
    [1, "q1", 0],
    [1, "q1", 1],
    [1, "q2", 0],
    [1, "q2", 1],
    [3, "q3", 0],
    [3, "q3", 1],
  ]);
  const wrong = rows("--max-reward", "0.5", "--question", "2+2");
  expect(wrong).toEqual([expect.objectContaining({ id: "q2", output: 1, advantage: -1.5, tokens: 5 })]);
  expect(show("--step", "3").stdout).toContain("#1\treward 0\tadvantage -1.5\t5 tokens\tsays 1 of 3");
  const fails = (code: number, words: RegExp, ...more: string[]) => {
    const run = show(...more);
    expect([run.status, run.stderr]).toEqual([code, expect.stringMatching(words)]);
  };
  fails(3, /steps 1 to 3 are there/, "--step", "2");
  fails(3, /widen the filter/, "--question", "absent");
  fails(2, /--label without a terminal/, "--label");
  fails(2, /--step/, "--step", "0");
  fails(3, /nsa rollouts RUN --label/, "--labels", "preference");
  const labels = new LabelFile(join(work, "runs/grpo-x-20260101-000000/labels.jsonl"), () => new Date(0));
  const [q1] = recorded[1]!;
  labels.verdict(q1!, q1!.outputs[0]!, "wrong");
  labels.prefer(q1!, q1!.outputs[1]!, q1!.outputs[0]!);
  labels.verdict(q1!, q1!.outputs[0]!, "right");
  expect(JSON.parse(show("--labels", "verdict").stdout)).toMatchObject({ id: "q1", verdict: "right" });
  expect(JSON.parse(show("--labels", "preference").stdout)).toMatchObject({
    ...{ prompt: "p", chosen: "says 1\nof 1", rejected: "says 0\nof 1" },
  });
});

const hasScript = spawnSync("sh", ["-c", "command -v script"]).status === 0;

needs(hasScript, "no `script` command here")("labels_are_typed_on_a_real_terminal", async () => {
  buildOnce();
  const dir = makeRun("grpo-y-20260101-000000");
  const command = `stty cols 100 rows 30; node ${bundle} rollouts ${dir} --label; echo code $?`;
  const env = { ...process.env, CI: undefined, TERM: "xterm-256color" };
  const terminal = spawn("script", ["-qec", command, "/dev/null"], { cwd: root, env });
  let [out, typed] = ["", 0];
  terminal.stdout.on("data", (chunk) => {
    out += chunk;
    if (typed === 0 && out.includes("q3")) {
      typed = 1;
      terminal.stdin.write("w");
    } else if (typed === 1 && out.includes("a person: wrong")) {
      typed = 2;
      terminal.stdin.write("q");
    }
  });
  await new Promise((resolve) => terminal.on("close", resolve));
  expect(out).toContain("code 0");
  expect(existsSync(join(dir, "labels.jsonl"))).toBe(true);
  expect(readJsonl(join(dir, "labels.jsonl"))).toMatchObject([{ id: "q3", output: 0, verdict: "wrong" }]);
});

test("a_run_is_replayed_from_its_folder_and_compared_with_another_reward", () => {
  const folder = join(work, "replayed");
  mkdirSync(folder);
  const recipe = (name: string, text: string) => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  const run = (...args: string[]) => nsa([...args, "--runs", folder]);
  const made = (...args: string[]) => {
    const { status, stderr } = run(...args, "--device", "cpu");
    expect(status, stderr).toBe(0);
  };
  made("pretrain", recipe("tiny.yaml", tinyPretrain));
  const base = run("runs", "path", "latest", "--checkpoint").stdout.trim();
  const grpo = `
steps: 3
init: {checkpoint: ${base}}
task: {family: addition, difficulty: 1, template: "{question}="}
rollout: {questions_per_step: 2, group_size: 4, max_tokens: 6}
rewards: [{kind: length}, {kind: repetition, weight: 0.5}]
evaluation: {questions: 2, samples: 2}
`;
  made("grpo", recipe("grpo.yaml", grpo));
  const replay = (...more: string[]) => run("replay", "latest", "--device", "cpu", ...more);
  const text = replay("--step", "3").stdout;
  expect(text).toMatch(/^step 3\tfrom the checkpoint of step 0, 2 steps applied before it$/m);
  expect(text).toMatch(/^gradients\t[0-9a-f]{16}\tequal to the run's, bit for bit$/m);
  const result = JSON.parse(replay("--step", "2", "--json", "--set-reward", "length=-1").stdout);
  expect(result).toMatchObject({ step: 2, from: 0, changed: { outputs: expect.any(Array) } });
  expect(result.changed.outputs).toHaveLength(8);
  for (const { reward, newReward } of result.changed.outputs) expect(newReward).not.toBe(reward);
  const fails = (code: number, words: RegExp, ...more: string[]) => {
    const { status, stderr } = replay(...more);
    expect([status, stderr]).toEqual([code, expect.stringMatching(words)]);
  };
  fails(3, /earliest step that can be replayed is 1/, "--step", "4");
  fails(2, /ID=NUMBER/, "--step", "1", "--set-reward", "length");
  fails(2, /name one of length, repetition/, "--step", "1", "--set-reward", "format=0");
  fails(2, /there is no --step <n>/);
});
