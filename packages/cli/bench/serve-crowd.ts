// `pnpm bench serve-crowd [--seconds 60] [--clients 500] [--drains 20]`: a server under clients that ask, go away and read slowly.
//
// Every answer must be the one that its prompt and seed give alone; /health is asked all the time; memory must not grow; and SIGTERM,
// sent while clients hold half a body and do not read, must end the server within its drain limit, many times over.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { Agent, request } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import {
  atLeast,
  atMost,
  type BenchResult,
  describeMachine,
  latestCheckpoint,
  listRuns,
  Rng,
} from "@nsa/core";
import { live } from "./support/kill-life.ts";
import { tinyPipeline } from "./support/tiny-pipeline.ts";

const root = fileURLToPath(new URL("../../../", import.meta.url));
const bundle = join(root, "packages/cli/dist/nsa.mjs");
const DRAIN_SECONDS = 2;
const PROMPTS = 40;
const agent = new Agent({ keepAlive: true, maxSockets: 1000 });

interface Started {
  port: number;
  child: ChildProcess;
  ended: Promise<number | null>;
}

async function start(checkpoint: string): Promise<Started> {
  const words = [
    "serve",
    checkpoint,
    "--port",
    "0",
    "--device",
    "cpu",
    "--drain-seconds",
    String(DRAIN_SECONDS),
  ];
  const child = spawn(process.execPath, [bundle, ...words], { stdio: ["ignore", "pipe", "ignore"] });
  const ended = new Promise<number | null>((resolve) => child.on("exit", resolve));
  const port = await new Promise<number>((resolve, reject) => {
    child.stdout!.on("data", (text) => {
      const found = /:(\d+)\/v1/.exec(String(text));
      if (found) resolve(Number(found[1]));
    });
    void ended.then((code) => reject(new Error(`the server ended with ${code}`)));
  });
  return { port, child, ended };
}

const bodyOf = (i: number) =>
  JSON.stringify({ prompt: `${i % 9}+${i % PROMPTS}:`, max_tokens: 12, seed: i % PROMPTS });

/** Status and text of an answer; with `slow`, read in pieces with pauses; with `abort`, given up after so many milliseconds. */
function ask(port: number, i: number, { slow = false, abort = 0 } = {}): Promise<string | undefined> {
  const headers = { "content-type": "application/json" };
  const options = { port, host: "127.0.0.1", method: "POST", path: "/v1/completions", headers, agent };
  return new Promise((resolve) => {
    const req = request(options, async (res) => {
      let text = "";
      try {
        for await (const part of res) {
          text += part;
          if (slow) await new Promise((done) => setTimeout(done, 200));
        }
        const { choices } = JSON.parse(text) as { choices: { text: string }[] };
        resolve(`${res.statusCode} ${choices.map((c) => c.text).join("|")}`);
      } catch {
        resolve(abort > 0 ? undefined : `lost ${res.statusCode} ${text.slice(0, 100)}`);
      }
    });
    req.on("error", (error) => resolve(abort > 0 ? undefined : `lost ${error.message}`));
    if (abort > 0) setTimeout(() => req.destroy(), abort);
    req.end(bodyOf(i));
  });
}

function health(port: number): Promise<number> {
  const from = performance.now();
  return new Promise((resolve) => {
    const req = request({ port, host: "127.0.0.1", path: "/health" }, (res) => {
      res.resume();
      res.on("end", () => resolve(performance.now() - from));
    });
    req.on("error", () => resolve(Number.POSITIVE_INFINITY));
    req.end();
  });
}

const residentMib = (pid: number) =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]) / 1024;
const quantile = (xs: number[], q: number) => xs.toSorted((a, b) => a - b)[Math.floor((xs.length - 1) * q)]!;

interface Crowd {
  answers: number;
  wrong: string[];
  health: number[];
  memory: number[];
}

async function crowd({ port, child }: Started, clients: number, seconds: number): Promise<Crowd> {
  const alone = new Map<string, string>();
  for (let i = 0; i < 9 * PROMPTS; i++) alone.set(bodyOf(i), (await ask(port, i))!);
  const until = performance.now() + 1000 * seconds;
  const out: Crowd = { answers: 0, wrong: [], health: [], memory: [] };
  const rng = new Rng(5, 3);
  const client = async (c: number) => {
    for (let k = 0; performance.now() < until; k++) {
      const i = Math.floor(rng.uniform(c, 3 * k) * 9 * PROMPTS);
      const kind = rng.uniform(c, 3 * k + 1);
      const abort = kind < 0.2 ? 1 + Math.floor(rng.uniform(c, 3 * k + 2) * 200) : 0;
      const answer = await ask(port, i, { slow: kind > 0.9, abort });
      if (answer === undefined) continue;
      out.answers++;
      if (answer !== alone.get(bodyOf(i))) out.wrong.push(`${bodyOf(i)}: ${answer}`);
    }
  };
  const watch = async () => {
    while (performance.now() < until) {
      out.health.push(await health(port));
      out.memory.push(residentMib(child.pid!));
      await new Promise((done) => setTimeout(done, 50));
    }
  };
  await Promise.all([watch(), ...Array.from({ length: clients }, (_, c) => client(c))]);
  return out;
}

/** Seconds from SIGTERM to the end, while one client holds half a body and another reads nothing. */
async function drainOnce(checkpoint: string): Promise<number> {
  const { port, child, ended } = await start(checkpoint);
  const head =
    "POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length:";
  const deaf = JSON.stringify({ prompt: ["1+1:"], max_tokens: 60, n: 120, stream: true, logprobs: 20 });
  for (const text of [`${head} 1000\r\n\r\n{"pro`, `${head} ${deaf.length}\r\n\r\n${deaf}`]) {
    const socket = connect(port, "127.0.0.1");
    socket.on("error", () => undefined);
    socket.pause();
    socket.write(text);
  }
  await new Promise((done) => setTimeout(done, 300));
  const from = performance.now();
  child.kill("SIGTERM");
  const code = await ended;
  return code === 0 ? (performance.now() - from) / 1000 : Number.POSITIVE_INFINITY;
}

async function run(): Promise<BenchResult> {
  const { values } = parseArgs({
    args: JSON.parse(process.env.NSA_BENCH_ARGS ?? "[]") as string[],
    options: {
      seconds: { type: "string", default: "60" },
      clients: { type: "string", default: "500" },
      drains: { type: "string", default: "20" },
      json: { type: "boolean" },
    },
  });
  const folder = mkdtempSync(join(tmpdir(), "nsa-crowd-"));
  writeFileSync(
    join(folder, "base.yaml"),
    tinyPipeline["base.yaml"]!.replace("shards: unset", "vocab_size: 300"),
  );
  const made = await live(["pretrain", join(folder, "base.yaml")], join(folder, "runs"));
  if (made.code !== 0) throw new Error(made.errors);
  const checkpoint = latestCheckpoint(listRuns(join(folder, "runs"))[0]!.path)!;
  const server = await start(checkpoint);
  const {
    answers,
    wrong,
    health: times,
    memory,
  } = await crowd(server, Number(values.clients), Number(values.seconds));
  server.child.kill("SIGKILL");
  if (wrong.length > 0) console.error(wrong.slice(0, 5).join("\n"));
  const drains: number[] = [];
  for (let i = 0; i < Number(values.drains); i++) drains.push(await drainOnce(checkpoint));
  rmSync(folder, { recursive: true, force: true });
  const half = memory.slice(memory.length >> 1);
  const grown = Math.max(...half) / Math.max(...memory.slice(0, memory.length >> 1));
  return {
    name: "serve-crowd",
    machine: describeMachine(),
    figures: {
      ...{ answers, clients: Number(values.clients), health_ms_p50: quantile(times, 0.5) },
      ...{ health_ms_p99: quantile(times, 0.99), memory_mib_most: Math.max(...memory) },
      drain_seconds_most: Math.max(...drains),
    },
    ratios: { memory_second_half_over_first: grown },
    bars: [
      atLeast("answers", answers, 1),
      atMost("lost or mixed answers", wrong.length, 0),
      atMost("milliseconds of /health, 99th percentile", quantile(times, 0.99), 50),
      atMost("peak memory, second half over first", grown, 1.1),
      atMost("seconds from SIGTERM to the end", Math.max(...drains), DRAIN_SECONDS + 2),
    ],
  };
}

export default {
  name: "serve-crowd",
  about: "500 clients with aborts and slow readers: no lost or mixed answer, /health, memory, drains",
  run,
};
