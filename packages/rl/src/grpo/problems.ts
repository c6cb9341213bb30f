// Where questions come from: a generated family or a JSONL file, by index, so that a resumed run asks the same ones.
import { readFileSync } from "node:fs";
import { NsaError, Rng } from "@nsa/core";
import { makeFamily, type Problem } from "@nsa/eval";
import type { GrpoConfig } from "./config.ts";

export interface ProblemSource {
  train(i: number): Problem;
  heldOut(i: number): Problem;
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

export function makeProblems(config: GrpoConfig): ProblemSource {
  const { task, seed } = config;
  if (task.file !== "") return fromFile(task.file, seed);
  const options = { difficulty: task.difficulty, seed };
  const [train, held] = [
    makeFamily(task.family, { ...options, split: "train" }),
    // Held-out questions do not depend on the seed: runs are compared on the same ones.
    makeFamily(task.family, { ...options, seed: 0, split: "heldout" }),
  ];
  return {
    heldOutCount: Number.POSITIVE_INFINITY,
    train: (i) => train.problem(i),
    heldOut: (i) => held.problem(i),
  };
}
