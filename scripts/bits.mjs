// The net under a refactoring: `node scripts/bits.mjs record` runs the quickstart and a dozen recipes at a size of seconds and
// writes what they computed, as hashes, to test/bits/record.json; `compare` runs them again and names every hash that differs.
//
// Hashed: each tensor of each checkpoint by name, each column of metrics.jsonl (times excepted), each row of samples.jsonl, the
// corpus, and the end of a run folder of an earlier version (test/bits/old-run.tar.gz) that is resumed. The CPU kernels are
// pinned to AVX2, so that machines with and without AVX-512 agree; JavaScript's and C's own mathematics may still differ
// between versions of Node and of the C library, so the record names both.
//
// `old-run` makes the run folder anew; only for when an old format is given up on purpose.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { must, root } from "./lib.mjs";

const RECORD = join(root, "test/bits/record.json");
const OLD_RUN = join(root, "test/bits/old-run.tar.gz");
const command = join(root, "packages/cli/dist/nsa.mjs");
const env = { ...process.env, NSA_CPU_ISA: "avx2", FORCE_COLOR: "0" };

const sha = (bytes) => createHash("sha256").update(bytes).digest("hex").slice(0, 16);

/** Runs `nsa …` and ends this process with its output when it fails. */
function nsa(args) {
  const run = spawnSync(process.execPath, [command, ...args], { cwd: root, encoding: "utf8", env });
  if (run.status === 0) return;
  console.error(`failed (${run.status}): nsa ${args.join(" ")}\n${run.stdout}\n${run.stderr}`);
  process.exit(1);
}

/** Tensors of a safetensors file by name → hash of dtype, shape and bytes. */
function tensorsOf(path) {
  const bytes = readFileSync(path);
  const length = Number(bytes.readBigUInt64LE(0));
  const { __metadata__: _, ...header } = JSON.parse(bytes.toString("utf8", 8, 8 + length));
  return Object.entries(header).map(
    ([
      name,
      {
        dtype,
        shape,
        data_offsets: [from, to],
      },
    ]) => {
      const data = bytes.subarray(8 + length + from, 8 + length + to);
      return [name, sha(Buffer.concat([Buffer.from(`${dtype} ${shape}`), data]))];
    },
  );
}

/** Columns that hold times, rates or memory of this machine. */
const MEASURED = /^(perf|time)\/|seconds|_ms$|memory/;

/** Columns of a JSONL file → hash of their [step, value] pairs. */
function columnsOf(path) {
  const columns = new Map();
  for (const line of readFileSync(path, "utf8").split("\n").filter(Boolean)) {
    const row = JSON.parse(line);
    for (const [key, value] of Object.entries(row)) {
      if (MEASURED.test(key) || key === "step" || key === "time" || key === "timestamp") continue;
      if (!columns.has(key)) columns.set(key, []);
      columns.get(key).push([row.step, value]);
    }
  }
  return [...columns].map(([key, pairs]) => [key, sha(JSON.stringify(pairs))]);
}

/** All that a run folder holds and that must not change, as `file#part` → hash. */
function digestOf(folder) {
  const found = {};
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name));
  for (const path of files.sort()) {
    const name = relative(folder, path);
    const put = (parts) => {
      for (const [part, hash] of parts) found[`${name}#${part}`] = hash;
    };
    if (/(^|\/)(metrics|samples)\.jsonl$/.test(name)) put(columnsOf(path));
    else if (name.endsWith(".safetensors")) put(tensorsOf(path));
    else if (/(^|\/)corpus\/.*\.jsonl$|(^|\/)tokenizer\.json$/.test(name))
      found[name] = sha(readFileSync(path));
  }
  return found;
}

const sets = (list) => list.flatMap((text) => ["--set", text]);

const small = [
  "model.d_model=32",
  "model.num_layers=2",
  "model.num_heads=4",
  "model.num_kv_heads=2",
  "model.head_dim=8",
  "model.d_ff=48",
  "train.steps=6",
  "train.eval_every=3",
  "train.save_every=4",
  "train.micro_batch_tokens=512",
  "data.validation_tokens=600",
];
const text = ["data.sources.0.documents=300", "data.tokenizer_documents=100", "data.vocab_size=300"];
const sparse = [
  "model.block_size=8",
  "model.stride=4",
  "model.selection_block_size=8",
  "model.num_selected_blocks=3",
  "model.window_size=16",
];
const rollouts = [
  "steps=4",
  "rollout.questions_per_step=3",
  "rollout.group_size=4",
  "rollout.max_tokens=12",
  "evaluation.every=2",
  "evaluation.questions=4",
  "evaluation.samples=4",
  "checkpoint.every=2",
];

/** Name, words of the command, overrides; `{job}` is the newest checkpoint of an earlier job, `{job:dir}` its folder. */
const jobs = [
  [
    "pretrain-nsa",
    ["pretrain", "configs/pretrain/quickstart.yaml"],
    [...small, ...text, ...sparse, "train.seq_len=128"],
  ],
  ["pretrain-sums", ["pretrain", "configs/pretrain/sums-base.yaml"], [...small, ...text]],
  ["pretrain-countdown", ["pretrain", "configs/pretrain/countdown-base.yaml"], [...small, ...text]],
  ["pretrain-r1-zero", ["pretrain", "configs/pretrain/r1-zero-base.yaml"], [...small, ...text]],
  [
    "pretrain-window",
    ["pretrain", "configs/pretrain/quickstart.yaml"],
    [
      ...small,
      ...text,
      "model.attention=window",
      "model.window_size=16",
      "model.qk_norm=true",
      "train.schedule.kind=wsd",
    ],
  ],
  [
    "pretrain-mixed-muon",
    ["pretrain", "configs/pretrain/quickstart.yaml"],
    [
      ...small,
      ...text,
      ...sparse,
      "model.attention_layers=[nsa, full]",
      "train.optimizer.kind=muon",
      "train.schedule.kind=multi_step",
      "train.recompute=true",
      "model.tie_embeddings=false",
    ],
  ],
  [
    "pretrain-bf16",
    ["pretrain", "configs/pretrain/quickstart.yaml"],
    [...small, ...text, ...sparse, "model.dtype=bf16", "model.compress=weighted"],
  ],
  [
    "pretrain-ranks",
    ["pretrain", "configs/pretrain/sums-base.yaml", "--ranks", "2"],
    [...small, ...text, "train.micro_batches=2"],
  ],
  [
    "sft",
    ["sft", "configs/sft/sums.yaml"],
    [
      "init_from={pretrain-sums}",
      "data.sources.0.files.0={examples}",
      "train.steps=5",
      "train.eval_every=2",
      "train.save_every=3",
      "train.micro_batch_tokens=400",
      "sample.max_tokens=8",
    ],
  ],
  ["grpo-sums", ["grpo", "configs/grpo/sums.yaml"], ["init.checkpoint={pretrain-sums}", ...rollouts]],
  [
    "grpo-countdown",
    ["grpo", "configs/grpo/countdown.yaml"],
    [
      "init.checkpoint={pretrain-countdown}",
      ...rollouts,
      "algorithm.kl_coef=0.01",
      "algorithm.reference_every=2",
    ],
  ],
  [
    "grpo-r1-zero",
    ["grpo", "configs/grpo/r1-zero-addition.yaml"],
    ["init.checkpoint={pretrain-r1-zero}", ...rollouts, "algorithm.loss=gspo", "rollout.top_p=0.9"],
  ],
  [
    "eval-sums",
    ["eval", "configs/eval/sums.yaml"],
    ["checkpoint={pretrain-nsa}", "tasks.0.questions=6", "tasks.0.samples=4", "tasks.0.max_tokens=10"],
  ],
  [
    "quickstart",
    ["pipeline", "run", "configs/pipelines/quickstart.yaml"],
    [
      "crawl.pages=150",
      "corpus.budget_tokens=6000",
      "tokenizer.vocab_size=300",
      ...small.map((set) => `base.${set}`),
      ...["train.steps=4", "train.micro_batch_tokens=400", "sample.max_tokens=6"].map((set) => `sft.${set}`),
      ...rollouts.map((set) => `grpo.${set}`),
      ...["ask-base", "ask-sft", "ask-grpo"].flatMap((stage) =>
        ["questions=4", "samples=4", "max_tokens=8"].map((set) => `${stage}.tasks.0.${set}`),
      ),
    ],
  ],
];

function newestCheckpoint(folder) {
  const steps = readdirSync(join(folder, "checkpoints")).filter((name) => /^step-\d+$/.test(name));
  return join(folder, "checkpoints", steps.sort().at(-1));
}

/** Lays the committed run folder out in `folder`, resumes it for the steps it had left, and returns its digest. */
function resumeOldRun(folder) {
  mkdirSync(folder, { recursive: true });
  must("tar", ["-xzf", OLD_RUN, "-C", folder]);
  const run = join(folder, readdirSync(folder)[0]);
  const recipe = join(run, "config.yaml");
  nsa(["pretrain", recipe, "--resume", run, "--runs", folder, "--device", "cpu", "--plain"]);
  return digestOf(run);
}

/** Runs every job in a folder of its own and returns job → digest. */
function runAll(work) {
  const folders = new Map();
  const examples = join(work, "examples.jsonl");
  const lines = Array.from({ length: 60 }, (_, i) =>
    JSON.stringify({
      question: `${i}+${3 * i + 7}`,
      working: `${i} and ${3 * i + 7}`,
      answer: `${4 * i + 7}`,
    }),
  );
  writeFileSync(examples, `${lines.join("\n")}\n`);
  const fill = (set) =>
    set.replace(/\{([\w-]+)\}/g, (whole, job) =>
      job === "examples" ? examples : folders.has(job) ? newestCheckpoint(folders.get(job)) : whole,
    );
  const record = {};
  for (const [name, words, overrides] of jobs) {
    const started = performance.now();
    const runs = join(work, name);
    nsa([...words, "--runs", runs, "--device", "cpu", "--plain", ...sets(overrides.map(fill))]);
    const made = join(runs, readdirSync(runs)[0]);
    folders.set(name, made);
    record[name] = digestOf(made);
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    console.log(`${name}: ${Object.keys(record[name]).length} hashes, ${seconds} s`);
  }
  if (existsSync(OLD_RUN)) record["old-run"] = resumeOldRun(join(work, "old-run"));
  return record;
}

/** Two run folders that were interrupted half-way, as an earlier version leaves them. */
function makeOldRun(work) {
  const runs = join(work, "old");
  const tiny = [...small, ...text, ...sparse, "model.d_model=16", "model.num_layers=1", "name=old"];
  nsa([
    "pretrain",
    "configs/pretrain/quickstart.yaml",
    "--runs",
    runs,
    "--device",
    "cpu",
    "--plain",
    ...sets(tiny),
  ]);
  const [pretrain] = readdirSync(runs);
  const checkpoints = join(runs, pretrain, "checkpoints");
  // As after a kill between its two checkpoints.
  for (const name of readdirSync(checkpoints))
    if (name !== "step-000004") rmSync(join(checkpoints, name), { recursive: true });
  mkdirSync(dirname(OLD_RUN), { recursive: true });
  must("tar", ["-czf", OLD_RUN, "-C", runs, ...readdirSync(runs)]);
}

const [mode] = process.argv.slice(2);
if (!["record", "compare", "old-run"].includes(mode)) {
  console.error("usage: node scripts/bits.mjs record | compare | old-run");
  process.exit(2);
}
must("node", ["scripts/setup.mjs"]);
const work = mkdtempSync(join(tmpdir(), "nsa-bits-"));
try {
  if (mode === "old-run") makeOldRun(work);
  else {
    const made = { node: process.versions.node, jobs: runAll(work) };
    if (mode === "record") {
      mkdirSync(dirname(RECORD), { recursive: true });
      writeFileSync(RECORD, `${JSON.stringify(made, null, 2)}\n`);
      console.log(`recorded in ${relative(root, RECORD)}`);
    } else process.exitCode = compare(JSON.parse(readFileSync(RECORD, "utf8")), made);
  }
} finally {
  rmSync(work, { recursive: true, force: true });
}

/** Prints what differs; returns the exit code. */
function compare(before, after) {
  if (before.node !== after.node)
    console.log(`recorded with Node ${before.node}, this is ${after.node}: its mathematics may differ`);
  let [same, wrong] = [0, 0];
  for (const job of new Set([...Object.keys(before.jobs), ...Object.keys(after.jobs)])) {
    const [a, b] = [before.jobs[job] ?? {}, after.jobs[job] ?? {}];
    for (const key of new Set([...Object.keys(a), ...Object.keys(b)])) {
      if (a[key] === b[key]) same++;
      else if (wrong++ < 60) console.log(`${job} ${key}: ${a[key] ?? "absent"} → ${b[key] ?? "absent"}`);
    }
  }
  console.log(`${same} equal, ${wrong} different`);
  return wrong === 0 ? 0 : 1;
}
