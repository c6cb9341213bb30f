// Does NSA learn what full attention learns? Text at equal tokens over seeds, and recall beyond any window.
//
// `pnpm bench nsa-learning --device cuda|cpu [--part recall,text] [--kinds nsa,full,window] [--seeds 3] [--first-seed 1]
//  [--parallel 1] [--out file] [--text-steps 300] [--length 8192] [--recall-steps 11000]
//  [--recall-model|task|stages '{json}']`; the text is that of configs/pretrain/books-base.yaml ($NSA_DATA or ../shared/data).
// Each curve is trained in a process of its own.
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { atLeast, atMost, type BenchResult, describeMachine } from "@nsa/core";
import {
  type Curve,
  chance,
  KINDS,
  type Kind,
  number,
  option,
  PARTS,
  type Part,
} from "./support/learning.ts";

const mean = (x: number[]) => (x.length === 0 ? null : x.reduce((a, b) => a + b, 0) / x.length);
const minus = (a: number | null, b: number | null) => (a === null || b === null ? null : a - b);

/** Trains one curve in a child process, whose progress goes to stderr. */
function curveOf(part: Part, kind: Kind, seed: number): Promise<Curve> {
  const main = join(import.meta.dirname, "support/learning-main.ts");
  const flags = ["--conditions=nsa-source", "--import", "tsx", main, part, kind, `${seed}`];
  return new Promise((done, failed) => {
    const child = spawn(process.execPath, flags, { stdio: ["ignore", "pipe", "inherit"] });
    let out = "";
    child.stdout.on("data", (chunk) => {
      out += chunk;
    });
    child.on("error", failed);
    child.on("close", (code) => {
      if (code === 0) done(JSON.parse(out.trim().split("\n").at(-1)!));
      else failed(new Error(`${part} ${kind} seed ${seed} ended with ${code}`));
    });
  });
}

async function run(): Promise<BenchResult> {
  const words: string[] = JSON.parse(process.env.NSA_BENCH_ARGS ?? "[]");
  const command = `pnpm bench nsa-learning ${words.filter((w) => w !== "--json").join(" ")}`;
  const listed = <T extends string>(name: string, all: readonly T[]) =>
    all.filter((x) => option(name, all.join()).split(",").includes(x));
  const seeds = Array.from({ length: number("seeds", 3) }, (_, i) => number("first-seed", 1) + i);
  const queue = listed("part", PARTS).flatMap((part) =>
    listed("kinds", KINDS).flatMap((kind) => seeds.map((seed) => ({ part, kind, seed }))),
  );
  const order = queue.map(({ part, kind, seed }) => `${part} ${kind} ${seed}`);
  const curves: Curve[] = [];
  const place = (c: Curve) => order.indexOf(`${c.part} ${c.kind} ${c.seed}`);
  const worker = async () => {
    for (let next = queue.shift(); next; next = queue.shift()) {
      curves.push(await curveOf(next.part, next.kind, next.seed));
      curves.sort((a, b) => place(a) - place(b));
      const out = option("out", "");
      if (out) writeFileSync(out, `${JSON.stringify({ ...summary(curves), command, curves }, null, 1)}\n`);
    }
  };
  await Promise.all(Array.from({ length: number("parallel", 1) }, worker));
  return summary(curves);
}

function summary(curves: Curve[]): BenchResult {
  const of = (part: Part, kind: Kind) => curves.filter((c) => c.part === part && c.kind === kind);
  const last = (part: Part, kind: Kind) => mean(of(part, kind).map((c) => c.points.at(-1)!.value));
  const figures: BenchResult["figures"] = { chance };
  for (const part of PARTS) {
    for (const kind of KINDS) {
      const some = of(part, kind);
      if (some.length === 0) continue;
      figures[`${part}_${kind}`] = last(part, kind);
      figures[`${part}_${kind}_read_share`] = some[0]!.readShare;
      figures[`${part}_${kind}_trained_read_share`] = mean(some.map((c) => c.trainedReadShare));
    }
    for (const name of ["common", "union", "chosenCommon", "chosenUnion"] as const) {
      const values = curves.filter((c) => c.part === part && c.overlap).map((c) => c.overlap![name]);
      if (values.length > 0) figures[`${part}_overlap_of_4_${name}`] = mean(values);
    }
  }
  const muted = (branch: "cmp" | "slc" | "win") =>
    mean(curves.flatMap((c) => (c.muted === undefined ? [] : [c.muted[branch]])));
  for (const branch of ["cmp", "slc", "win"] as const)
    figures[`recall_nsa_without_${branch}`] = muted(branch);
  return {
    name: "nsa-learning",
    machine: [describeMachine(), ...new Set(curves.map((c) => c.device))].join("; "),
    figures,
    ratios: {},
    bars: [
      atMost(
        "text: validation loss of NSA minus full, nats",
        minus(last("text", "nsa"), last("text", "full")),
        0.02,
      ),
      atMost("recall beyond 2w: window attention", last("recall", "window"), 2 * chance),
      atLeast(
        "recall beyond 2w: NSA minus full",
        minus(last("recall", "nsa"), last("recall", "full")),
        -0.02,
      ),
      atLeast("recall lost by zeroing the selection gate", minus(last("recall", "nsa"), muted("slc")), 0.2),
    ],
  };
}

export default {
  name: "nsa-learning",
  about: "NSA, full and window attention: text at equal tokens, recall beyond the window",
  run,
};
