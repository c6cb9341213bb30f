// Where questions come from: a generated family or a JSONL file, by index, so that a resumed run asks the same ones.
import { readFileSync } from "node:fs";
import { NsaError, Rng } from "@nsa/core";
import { makeFamily, type Problem } from "@nsa/eval";
import type { GrpoConfig } from "./config.ts";

/** A problem and the part of a mixed task that it comes from. */
export type AskedProblem = Problem & { part?: string };

export interface ProblemSource {
  train(i: number): AskedProblem;
  heldOut(i: number): AskedProblem;
  /** Held-out problems there are. */
  heldOutCount: number;
}

const SHUFFLE_STREAM = 41;

function fromFile(path: string, seed: number): ProblemSource {
  const fail = (what: string, why: string) =>
    new NsaError({
      code: "task_file_invalid",
      what,
      why,
      fix: 'each line needs {"question": text, "answer": text}',
      exitCode: 3,
    });
  let lines: string[];
  try {
    lines = readFileSync(path, "utf8").split("\n");
  } catch (cause) {
    throw fail(`cannot read ${path}`, (cause as Error).message);
  }
  const problems: Problem[] = [];
  lines.forEach((line, n) => {
    if (line.trim() === "") return;
    let row: { id?: unknown; question?: unknown; answer?: unknown };
    try {
      row = JSON.parse(line);
    } catch {
      throw fail(`${path}:${n + 1}`, "the line is not JSON");
    }
    if (typeof row.question !== "string" || !["string", "number"].includes(typeof row.answer)) {
      throw fail(`${path}:${n + 1}`, "question or answer is missing");
    }
    problems.push({ id: String(row.id ?? n), question: row.question, answer: String(row.answer) });
  });
  if (problems.length < 2) throw fail(path, `it holds ${problems.length} problems`);
  const order = new Rng(seed, SHUFFLE_STREAM).permutation(problems.length);
  const held = Math.max(1, Math.floor(problems.length / 10));
  const trainCount = problems.length - held;
  return {
    heldOutCount: held,
    heldOut: (i) => problems[order[i % held]!]!,
    train: (i) => problems[order[held + (i % trainCount)]!]!,
  };
}

/** A family alone is a mix of one part. */
function parts(task: GrpoConfig["task"]): { family: string; difficulty: number; share: number }[] {
  return task.mix.length > 0 ? task.mix : [{ ...task, share: 1 }];
}

/**
 * Part of problem number i: shares are kept exactly over any long run of numbers, since each number goes to the part
 * that is furthest behind its share.
 */
function* turns(shares: readonly number[]): Generator<{ part: number; index: number }> {
  const total = shares.reduce((a, b) => a + b, 0);
  const given = shares.map(() => 0);
  for (let i = 1; ; i++) {
    let part = 0;
    const lag = (p: number) => (i * shares[p]!) / total - given[p]!;
    for (let p = 1; p < shares.length; p++) if (lag(p) > lag(part) + 1e-12) part = p;
    yield { part, index: given[part]!++ };
  }
}

export function makeProblems(config: GrpoConfig): ProblemSource {
  const { task, seed } = config;
  if (task.file !== "") return fromFile(task.file, seed);
  const mix = parts(task);
  const known: { part: number; index: number }[] = [];
  const order = turns(mix.map((p) => p.share));
  const of = (split: "train" | "heldout", splitSeed: number) => {
    const families = mix.map((p) => makeFamily(p.family, { ...p, seed: splitSeed, split }));
    return (i: number): AskedProblem => {
      while (known.length <= i) known.push(order.next().value);
      const { part, index } = known[i]!;
      return { ...families[part]!.problem(index), part: nameOf(mix[part]!) };
    };
  };
  return {
    heldOutCount: Number.POSITIVE_INFINITY,
    train: of("train", seed),
    // Held-out questions do not depend on the seed: runs are compared on the same ones.
    heldOut: of("heldout", 0),
  };
}

const nameOf = (part: { family: string; difficulty: number }) => `${part.family}_${part.difficulty}`;
