// `nsa eval` on a tiny checkpoint: rows, figures, resume, and clear refusals.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { latestCheckpoint, openStageContext, parseConfig, readJsonl } from "@nsa/core";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  makeTinyCheckpoint,
  type RunOptions,
  type TinyCheckpoint,
} from "../../train/test/tiny-checkpoint.ts";
import {
  compareSamples,
  type EvalRow,
  evalSchema,
  type NeedleSummary,
  type PositionsSummary,
  type ProblemsSummary,
  runEval,
  type SampleRow,
  summarise,
  type TaskSummary,
} from "../src/index.ts";
import { namesOf } from "../src/names.ts";
import { problemSteps } from "../src/problems.ts";

let tiny: TinyCheckpoint;
beforeAll(async () => {
  tiny = await makeTinyCheckpoint();
  const choice = { question: "Which?", options: ["A) one", "B) two", "C) three"], answer: "B" };
  writeFileSync(join(tiny.dir, "choice.jsonl"), `${JSON.stringify({ id: "c1", ...choice })}\n`);
  const problems = [1, 2, 3].map((i) =>
    JSON.stringify({ id: `p${i}`, question: `What is ${i}+1?`, answer: i + 1 }),
  );
  writeFileSync(join(tiny.dir, "problems.jsonl"), `${problems.join("\n")}\n`);
  writeFileSync(
    join(tiny.dir, "text.jsonl"),
    `${JSON.stringify({ text: "The cat sat on the mat. ".repeat(200) })}\n`,
  );
  const task = (name: string, extra: string) =>
    writeFileSync(
      join(tiny.dir, `${name}.yaml`),
      `name: ${name}\nfiles: [${name}.jsonl]\nmax_tokens: 8\n${extra}`,
    );
  task("problems", "");
  task("choice", 'fields: {options: options}\nprompt: "{question}\\n{options}\\nAnswer:"\n');
});
afterAll(() => tiny.remove());

async function run(name: string, recipe: object, options: RunOptions = {}) {
  const runDir = join(tiny.dir, name);
  mkdirSync(join(runDir, "checkpoints"), { recursive: true });
  const config = parseConfig(
    evalSchema,
    { checkpoint: tiny.checkpoint, data_dir: tiny.dir, threads: 1, ...recipe },
    "test",
  );
  const context = openStageContext({ runDir, device: "cpu", ...options });
  try {
    const result = await runEval(config, context);
    const rows = readJsonl<EvalRow>(join(runDir, "samples.jsonl"));
    const path = join(runDir, "summary.json");
    const summaries = existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as TaskSummary[]) : [];
    return { result, rows, summaries, runDir };
  } finally {
    await context.close();
  }
}

const family = { kind: "family", family: "addition", difficulty: 1, template: "{question}=", max_tokens: 6 };

test("echoes_and_greedy_answers_are_counted_by_hand", async () => {
  const row = (kind: "sample" | "greedy", id: string, sample: number, answer: string, more: object) =>
    ({
      kind,
      step: 1,
      task: "t",
      id,
      sample,
      prompt: "",
      completion: answer,
      answer,
      gold: "4",
      verdict: "wrong",
      form: "answer_tag",
      why: "",
      tokens: 3,
      finish: "stop",
      logp: -1,
      ...more,
    }) as EvalRow;
  const right = { verdict: "correct" };
  const rows = [
    row("sample", "a", 0, "2+2", { echo: true }),
    row("sample", "a", 1, "4", right),
    row("greedy", "a", 0, "4", right),
    row("sample", "b", 0, "1+3", { echo: true }),
    row("sample", "b", 1, "2*2", { echo: true }),
    row("greedy", "b", 0, "3+1", { echo: true }),
    row("sample", "c", 0, "5", {}),
    row("sample", "c", 1, "4", right),
    row("greedy", "c", 0, "4", right),
  ];
  const [s] = (await summarise(rows)) as ProblemsSummary[];
  expect(s).toMatchObject({ problems: 3, samples: 2, echoes: 3 / 6 });
  expect(s!.accuracy.mean).toBeCloseTo(1 / 3, 12);
  expect(s!.greedy!.accuracy.mean).toBeCloseTo(2 / 3, 12);
  expect(s!.greedy!.echoes).toBeCloseTo(1 / 3, 12);
});

test("gold_answers_that_only_their_text_can_meet_are_counted_before_the_first_step", () => {
  const golds = ["9 (apples)", "9 (a \\foo, or so)", "\\foo 7", "12", "5 of \\bar 8"];
  const records = golds.map((answer, i) => JSON.stringify({ id: `g${i}`, question: `q${i}`, answer }));
  writeFileSync(join(tiny.dir, "golds.jsonl"), `${records.join("\n")}\n`);
  const steps = (extra: string) => {
    writeFileSync(join(tiny.dir, "golds.yaml"), `name: golds\nfiles: [golds.jsonl]\n${extra}`);
    const task = join(tiny.dir, "golds.yaml");
    const { tasks, sandbox } = parseConfig(
      evalSchema,
      { checkpoint: "x", tasks: [{ kind: "problems", task }] },
      "test",
    );
    const spec = { ...(tasks[0] as Extract<(typeof tasks)[number], { kind: "problems" }>), name: "golds" };
    return problemSteps(spec, 0, { dataDir: tiny.dir, problems: 2, sandbox });
  };
  const [first, ...others] = steps("");
  expect(first!.warning).toContain("3 of 5 gold answers");
  expect(first!.warning).toContain('g1: "9 (a \\\\foo, or so)"');
  expect(others).toHaveLength(2);
  expect(others.map(({ warning }) => warning)).toEqual([undefined, undefined]);
  const patterned = steps('answer_pattern: "\\\\d+"\n');
  expect(patterned.map(({ warning }) => warning)).toEqual([undefined, undefined, undefined]);
});

test("a_greedy_answer_a_problem_stands_beside_the_sampled_ones_and_changes_none", async () => {
  const recipe = (greedy: boolean) => ({
    tasks: [{ ...family, questions: 3, samples: 2, greedy }],
    sampling: { temperature: 1 },
    engine: { problems: 2 },
  });
  const [plain, both] = [await run("sampled", recipe(false)), await run("greedy", recipe(true))];
  const of = (rows: EvalRow[], kind: string) => rows.filter((r) => r.kind === kind) as SampleRow[];
  expect(of(both.rows, "sample")).toEqual(plain.rows);
  const alone = await run("alone", { tasks: [{ ...family, questions: 3, samples: 1 }] });
  const texts = (rows: SampleRow[]) => rows.map((r) => [r.id, r.completion]);
  expect(texts(of(both.rows, "greedy"))).toEqual(texts(of(alone.rows, "sample")));
  expect(both.result.metrics["eval/addition-1/greedy_accuracy"]).toBe(
    (both.summaries[0] as ProblemsSummary).greedy!.accuracy.mean,
  );
  expect(plain.result.metrics).not.toHaveProperty("eval/addition-1/greedy_accuracy");
});

test("generated_problems_give_rows_pass_at_k_and_metrics", async () => {
  const recipe = {
    tasks: [{ ...family, questions: 5, samples: 4 }],
    sampling: { temperature: 1 },
    engine: { problems: 2 },
  };
  const { result, rows, summaries } = await run("family", recipe);
  expect(result.status).toBe("completed");
  expect(result.step).toBe(3);
  expect(rows).toHaveLength(20);
  const samples = rows as SampleRow[];
  expect(new Set(samples.map((r) => r.id)).size).toBe(5);
  expect(samples.every((r) => r.tokens >= 1 && r.tokens <= 6 && r.logp < 0)).toBe(true);
  const s = summaries[0] as ProblemsSummary;
  expect(Object.keys(s.passAtK)).toEqual(["1", "2", "4"]);
  expect(s.passAtK["1"]).toBeCloseTo(s.accuracy.mean, 12);
  expect(s.passAtK["4"]!).toBeGreaterThanOrEqual(s.passAtK["1"]!);
  expect(result.metrics["eval/addition-1/accuracy"]).toBe(s.accuracy.mean);
});

test("a_resumed_evaluation_equals_an_uninterrupted_one", async () => {
  const recipe = {
    tasks: [{ ...family, questions: 6, samples: 2 }],
    sampling: { temperature: 1 },
    engine: { problems: 2 },
  };
  const whole = await run("whole", recipe);
  const stop = new AbortController();
  const cut = await run("cut", recipe, {
    signal: stop.signal,
    onEvent: (e) => {
      if (e.type === "step" && e.step === 1) stop.abort();
    },
  });
  expect(cut.result.status).toBe("interrupted");
  expect(cut.rows).toHaveLength(4);
  const rest = await run("cut", recipe, { resumeFrom: latestCheckpoint(cut.runDir)! });
  expect(rest.result.status).toBe("completed");
  expect(rest.rows).toEqual(whole.rows);
  expect(rest.summaries).toEqual(whole.summaries);
});

test("task_files_are_asked_and_options_scored", async () => {
  const tasks = [
    { kind: "problems", task: join(tiny.dir, "problems.yaml"), limit: 2 },
    { kind: "choice", task: join(tiny.dir, "choice.yaml") },
    { kind: "choice", task: join(tiny.dir, "choice.yaml"), score: "text" },
  ];
  const { rows, summaries } = await run("files", { tasks });
  expect(summaries.map((s) => s.task)).toEqual(["problems", "choice (letter)", "choice (text)"]);
  const [problem] = rows as SampleRow[];
  expect(problem!.prompt).toBe("Question: What is 1+1?\nAnswer:");
  expect(problem!.gold).toBe("2");
  const choice = rows.find((r) => r.kind === "choice")!;
  expect(choice.kind === "choice" && choice.logps.every((x) => x < 0)).toBe(true);
  expect(choice.kind === "choice" && choice.gold).toBe("B");
});

test("needles_and_positions_fill_their_grids", async () => {
  const tasks = [
    { kind: "needle", lengths: [224, 256], depths: [0, 0.5, 1] },
    { kind: "positions", files: [join(tiny.dir, "text.jsonl")], length: 96, sequences: 2, buckets: 4 },
  ];
  const { summaries } = await run("long", { tasks, max_seq_len: 300 });
  const [needle, positions] = summaries as [NeedleSummary, PositionsSummary];
  expect(needle.lengths).toEqual([224, 256]);
  expect(needle.gain.map((column) => column.length)).toEqual([3, 3]);
  expect(needle.gain.flat().every(Number.isFinite)).toBe(true);
  expect(positions.perplexity).toHaveLength(4);
  const whole = positions.perplexity.reduce((a, p) => a + Math.log(p), 0) / 4;
  expect(Math.log(positions.total)).toBeCloseTo(whole, 6);
  expect(positions.total).toBeLessThan(400);
});

test("contexts_tasks_and_tokenizers_that_do_not_fit_are_refused", async () => {
  const needle = { kind: "needle", lengths: [4096] };
  await expect(run("r1", { tasks: [needle] })).rejects.toMatchObject({ code: "context_too_short" });
  const unknown = { kind: "problems", task: "gsm9k" };
  await expect(run("r2", { tasks: [unknown] })).rejects.toMatchObject({ code: "task_unknown", exitCode: 2 });
  const absent = { kind: "problems", task: "gsm8k" };
  await expect(run("r3", { tasks: [absent] })).rejects.toMatchObject({
    code: "task_data_missing",
    exitCode: 3,
  });
  const other = JSON.parse(readFileSync(join(tiny.checkpoint, "tokenizer.json"), "utf8"));
  other.added_tokens.push({ id: 5000, content: "<x>", special: true });
  writeFileSync(join(tiny.dir, "other.json"), JSON.stringify(other));
  const tokenizer = join(tiny.dir, "other.json");
  await expect(run("r4", { tasks: [family], tokenizer })).rejects.toMatchObject({
    code: "tokenizer_mismatch",
  });
});

test("entries_with_a_budget_for_thoughts_are_answered_within_it_and_paired", async () => {
  const thought = { tokens: 3, answer_tokens: 2, end: "=", mark: "#" };
  const { rows, runDir } = await run("forced", {
    tasks: [
      { ...family, questions: 4, samples: 2, name: "free" },
      { ...family, questions: 4, samples: 2, name: "forced", thought },
      { kind: "problems", task: join(tiny.dir, "problems.yaml"), name: "task", greedy: true, thought },
    ],
    sampling: { temperature: 1 },
  });
  const own = (task: string) => rows.filter((r): r is SampleRow => r.kind === "sample" && r.task === task);
  expect(own("free").every((row) => row.budget === undefined)).toBe(true);
  for (const row of [...own("forced"), ...own("task")]) {
    expect(row.tokens).toBeLessThanOrEqual(5);
    expect(row.budget).toMatchObject({ tokens: 3, waits: 0 });
    if (row.budget!.ended) expect(row.completion).toContain("=");
  }
  expect(rows.filter((r) => r.kind === "greedy")).toHaveLength(3);
  expect(readJsonl(join(runDir, "pairs.jsonl"))).toMatchObject([{ task: "forced", against: "free" }]);
  for (const entry of [
    { ...family, format: "tool", thought },
    { kind: "family", family: "functions", thought },
  ])
    await expect(run("refused-thought", { tasks: [entry] })).rejects.toMatchObject({
      code: "thought_with_programs",
      exitCode: 2,
    });
});

test("solved_problems_stand_before_the_questions_of_a_family", async () => {
  const { rows } = await run("family-shots", {
    tasks: [
      { ...family, questions: 2, name: "zero" },
      { ...family, questions: 2, shots: 1, name: "one" },
    ],
  });
  const prompts = (task: string) =>
    rows.flatMap((r) => (r.kind === "sample" && r.task === task ? [r.prompt] : []));
  const [zero, one] = [prompts("zero"), prompts("one")];
  for (const [i, prompt] of one.entries()) {
    expect(prompt.endsWith(zero[i]!)).toBe(true);
    expect(prompt.slice(0, -zero[i]!.length)).toMatch(/^\d\+\d= <think> .* <answer> \d+ <\/answer>\n\n$/);
    expect(prompt.slice(0, 3)).not.toBe(zero[i]!.slice(0, 3));
  }
  const chat = { ...family, template: "chat", shots: 1 };
  await expect(run("chat-shots", { tasks: [chat] })).rejects.toMatchObject({
    code: "shots_in_chat",
    exitCode: 2,
  });
});

test("a_template_replaces_the_prompt_of_a_task", async () => {
  const task = join(tiny.dir, "problems.yaml");
  const { rows } = await run("template", {
    tasks: [{ kind: "problems", task, template: "plain", limit: 1 }],
  });
  expect((rows[0] as SampleRow).prompt).toBe("Q: What is 1+1?\nA:");
});

const row = (id: string, sample: number, verdict: SampleRow["verdict"], answer = "1"): SampleRow => ({
  kind: "sample",
  step: 1,
  task: "t",
  id,
  sample,
  prompt: "",
  completion: "",
  answer,
  gold: "1",
  verdict,
  form: answer === "" ? "none" : "boxed",
  why: "",
  tokens: 4,
  finish: "stop",
  logp: -sample,
});

test("summaries_of_known_rows_have_known_figures", async () => {
  const rows = [
    row("a", 0, "correct"),
    row("a", 1, "correct"),
    row("a", 2, "wrong", "2"),
    row("a", 3, "unknown", ""),
    ...[0, 1, 2, 3].map((i) => row("b", i, "wrong", "7")),
  ];
  const [s] = (await summarise(rows)) as [ProblemsSummary];
  expect(s.accuracy.mean).toBe(0.25);
  expect(s.passAtK["4"]).toBe(0.5);
  expect(s.majAtK["4"]).toBe(0.5);
  expect(s.likeliestAtK["4"]).toBe(0.5);
  expect(s.unparsed).toBe(1 / 8);
  expect(s.formatRate).toBe(7 / 8);
  expect(s.calibration!.bins.map((b) => b.accuracy)).toEqual([1, 0]);
});

test("comparisons_pair_problems_and_see_a_real_difference", () => {
  const first = Array.from({ length: 40 }, (_, i) => row(`p${i}`, 0, i % 4 === 0 ? "correct" : "wrong"));
  const second = Array.from({ length: 41 }, (_, i) => row(`p${i}`, 0, i % 4 === 1 ? "wrong" : "correct"));
  const [c] = compareSamples(first, second);
  expect(c).toMatchObject({
    task: "t",
    problems: 40,
    first: 0.25,
    second: 0.75,
    onlyFirst: 0,
    onlySecond: 20,
  });
  expect(c!.p).toBeLessThan(0.01);
  expect(c!.mcnemar).toBeCloseTo(2 * 0.5 ** 20, 12);
  expect(c!.low).toBeGreaterThan(0.3);
  const [same] = compareSamples(first, first);
  expect(same).toMatchObject({ difference: 0, p: 1, mcnemar: 1 });
});

test("a_task_is_asked_through_the_checkpoint_s_chat_template", async () => {
  const { rows } = await run("chat", {
    tasks: [
      { ...family, template: "chat", questions: 1, samples: 1 },
      { kind: "problems", task: join(tiny.dir, "problems.yaml"), template: "chat: Q {question}", samples: 1 },
    ],
  });
  const prompts = (rows as SampleRow[]).map((row) => row.prompt);
  const asked = (text: string) => `<|im_start|>user\n${text}<|im_end|>\n<|im_start|>assistant\n`;
  expect(prompts[0]).toBe(asked(/\d\+\d/.exec(prompts[0]!)![0]));
  expect(prompts.slice(1)).toEqual([1, 2, 3].map((i) => asked(`Q What is ${i}+1?`)));
});

test("two_entries_of_one_task_are_two_rows_and_never_pooled", async () => {
  const task = join(tiny.dir, "problems.yaml");
  const entry = { kind: "problems", task, samples: 1 };
  const { rows, summaries } = await run("twice", {
    tasks: [
      entry,
      { ...entry, shots: 2 },
      { ...entry, name: "asked plainly", template: "plain" },
      { kind: "choice", task: join(tiny.dir, "choice.yaml"), name: "letters" },
    ],
  });
  const names = ["problems [0-shot]", "problems [2-shot]", "asked plainly", "letters"];
  expect(summaries.map((s) => s.task)).toEqual(names);
  expect(summaries.slice(0, 3).map((s) => (s as ProblemsSummary).problems)).toEqual([3, 3, 3]);
  for (const name of names.slice(0, 3)) expect(rows.filter((r) => r.task === name)).toHaveLength(3);
});

test.each<[string, object[], string[]]>([
  ["one", [{}], ["problems"]],
  ["formats", [{}, { format: "pot" }], ["problems", "problems (pot)"]],
  ["shots", [{ shots: 1 }, { shots: 4 }], ["problems [1-shot]", "problems [4-shot]"]],
  ["templates", [{}, { template: "plain" }], ["problems [own template]", "problems [template plain]"]],
  ["lengths", [{ max_tokens: 9 }, { max_tokens: 12 }], ["problems [maxTokens 9]", "problems [maxTokens 12]"]],
  ["equal", [{}, {}, {}], ["problems", "problems #2", "problems #3"]],
  ["equal_names", [{ name: "a" }, { name: "a", shots: 1 }], ["a [0-shot]", "a [1-shot]"]],
  [
    "one_named_as_another",
    [{ name: "problems (pot)" }, { format: "pot" }],
    ["problems (pot) [cot]", ""].slice(0, 0),
  ],
])("entries_%s_have_names_of_their_own", (_, entries, expected) => {
  const task = join(tiny.dir, "problems.yaml");
  const tasks = entries.map((e) => ({ kind: "problems", task, ...e }));
  const config = parseConfig(evalSchema, { checkpoint: "none", tasks } as never, "test");
  const names = namesOf(config.tasks);
  if (expected.length > 0) expect(names).toEqual(expected);
  expect(new Set(names).size).toBe(entries.length);
});
