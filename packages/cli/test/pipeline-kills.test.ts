// SIGKILL inside and between all stages of a pipeline: the resumed run's files are those of a run that was left alone.
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Rng } from "@nsa/core";
import { beforeAll, expect, test } from "vitest";
import { tinyPipeline } from "../bench/support/tiny-pipeline.ts";
import { buildOnce, bundle, nsa, root } from "./built.ts";

const dir = mkdtempSync(join(tmpdir(), "nsa-pipeline-kills-"));
const file = join(dir, "pipeline.yaml");
const KILLS = 10;
const STAGES = 8;

interface Attempt {
  code: number | null;
  /** Lines printed before the kill. */
  lines: string[];
}

/** When to kill: so many lines after a stage (counted from 1), or one behind it, has begun. */
interface Moment {
  stage: number;
  lines: number;
  /** The trainer too, or the command alone: then the trainer saves and ends by itself while the next one starts. */
  group: boolean;
}

const stageOf = (line: string) => Number(/ \(stage (\d+)\/\d+, /.exec(line)?.[1] ?? 0);

function attempt(runs: string, resume: boolean, moment: Moment | undefined): Promise<Attempt> {
  const args = [bundle, "pipeline", "run", file, "--runs", runs, "--device", "cpu", "--plain"];
  if (resume) args.push("--resume", "latest");
  const child = spawn(process.execPath, args, {
    cwd: root,
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const lines: string[] = [];
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (chunk: Buffer) => {
      lines.push(...chunk.toString().trim().split("\n"));
      const begun = lines.findIndex((line) => moment && stageOf(line) >= moment.stage);
      if (!moment || begun < 0 || lines.length - begun <= moment.lines) return;
      try {
        process.kill(moment.group ? -child.pid! : child.pid!, "SIGKILL");
      } catch {
        // It ended by itself a moment before.
      }
    });
  return new Promise((resolve) => child.on("close", (code) => resolve({ code, lines })));
}

/** What must not differ: models, answers and rows without their times; folders' names are replaced. */
function facts(runs: string): Map<string, string> {
  const run = join(runs, readdirSync(runs).find((name) => name.startsWith("pipeline-"))!);
  const out = new Map<string, string>();
  const stages = readdirSync(join(run, "stages"));
  for (const stage of stages) {
    const folder = join(run, "stages", stage);
    // The seal is over the folders' names too.
    const { seal: _, ...result } = JSON.parse(readFileSync(join(folder, "result.json"), "utf8"));
    out.set(`${stage}/result`, JSON.stringify(result).replaceAll(run, ""));
    for (const path of readdirSync(folder, { recursive: true }) as string[]) {
      // Of the checkpoints the last counts; a trainer whose command was killed saves one more on its way out.
      const kept = path.startsWith("checkpoints/")
        ? path.includes(`step-${String(result.step).padStart(6, "0")}/`)
        : true;
      if (!kept || !/\.(safetensors|jsonl|gz|bin|yaml|json)$/.test(path)) continue;
      if (/(^|\/)(env|timing|best|result)\.json$|\.part\.json$/.test(path)) continue;
      const text = readFileSync(join(folder, path));
      out.set(
        `${stage}/${path}`,
        path.endsWith("metrics.jsonl") ? timeless(text.toString()) : digest(text, run),
      );
    }
  }
  return out;
}

const digest = (bytes: Buffer, run: string) =>
  createHash("sha256")
    .update(Buffer.from(bytes.toString("latin1").replaceAll(run, ""), "latin1"))
    .digest("hex");

function timeless(metrics: string): string {
  const rows = metrics.trim().split("\n");
  return rows
    .map((row) => {
      const entries = Object.entries(JSON.parse(row)).filter(([k]) => k !== "time" && !k.startsWith("perf/"));
      return JSON.stringify(Object.fromEntries(entries));
    })
    .join("\n");
}

beforeAll(() => {
  buildOnce();
  for (const [name, text] of Object.entries(tinyPipeline)) writeFileSync(join(dir, name), text);
});

test("a_pipeline_killed_ten_times_inside_and_between_its_stages_equals_one_that_was_left_alone", async () => {
  const alone = join(dir, "alone");
  const whole = nsa(["pipeline", "run", file, "--runs", alone, "--device", "cpu", "--plain"]);
  expect(whole.status, whole.stderr).toBe(0);

  const rng = new Rng(5, 0);
  const killed = join(dir, "killed");
  const met = new Set<number>();
  for (let kill = 0; kill < KILLS; kill++) {
    const stage = 1 + Math.floor((kill * STAGES) / KILLS);
    const moment = { stage, lines: Math.floor(rng.uniform(kill, 0) * 7), group: kill % 4 !== 3 };
    const made = await attempt(killed, kill > 0, moment);
    expect(made.code, made.lines.join("\n")).toBe(null);
    met.add(Math.max(...made.lines.map(stageOf)));
  }
  const rest = await attempt(killed, true, undefined);
  expect(rest.code, rest.lines.join("\n")).toBe(0);
  console.log(`${KILLS} kills, in the stages ${[...met].join(", ")} of ${STAGES}`);
  expect(met.size).toBeGreaterThanOrEqual(STAGES - 2);
  const [a, b] = [facts(alone), facts(killed)];
  expect([...b.keys()].sort()).toEqual([...a.keys()].sort());
  for (const [name, fact] of a) expect(b.get(name), name).toBe(fact);
}, 600_000);
