// What iterations leave in the run folder, by iteration: the labelled outputs, history after it, and the reward model that came of it.
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { atomicWriteFile, eachLine, JsonlFile } from "@nsa/core";
import { Reservoir } from "../../reward/replay.ts";

/** A record as it stands in a file. */
export type Line = string;

const name = (iteration: number) => `iteration-${String(iteration).padStart(3, "0")}`;

export class IterationFiles {
  constructor(readonly dir: string) {}

  folder(iteration: number): string {
    return join(this.dir, name(iteration));
  }

  outputs(iteration: number): JsonlFile {
    return new JsonlFile(join(this.folder(iteration), "outputs.jsonl"));
  }

  /** Lines of the iteration's outputs, or of those held out of training. */
  lines(iteration: number, file: "outputs" | "held-out"): Line[] {
    const path = join(this.folder(iteration), `${file}.jsonl`);
    return existsSync(path) ? Array.from(eachLine(path), (line) => line.toString("utf8")) : [];
  }

  writeHeldOut(iteration: number, lines: readonly Line[]): void {
    atomicWriteFile(
      join(this.folder(iteration), "held-out.jsonl"),
      lines.map((line) => `${line}\n`).join(""),
    );
  }

  /** History after an iteration; undefined before it was written. */
  history(iteration: number, size: number, seed: number): Reservoir<Line> | undefined {
    const path = join(this.folder(iteration), "history.jsonl");
    if (!existsSync(path)) return undefined;
    const [head, ...kept] = Array.from(eachLine(path), (line) => line.toString("utf8"));
    return new Reservoir<Line>(size, seed, (JSON.parse(head!) as { seen: number }).seen, kept);
  }

  writeHistory(iteration: number, { seen, items }: Reservoir<Line>): void {
    const lines = [JSON.stringify({ seen }), ...items];
    atomicWriteFile(join(this.folder(iteration), "history.jsonl"), lines.map((line) => `${line}\n`).join(""));
  }

  modelFolder(iteration: number): string {
    return join(this.folder(iteration), "model");
  }

  /** The reward model in force after an iteration; undefined before it was settled. */
  model(iteration: number): string | undefined {
    const path = join(this.folder(iteration), "result.json");
    if (!existsSync(path)) return undefined;
    const found = JSON.parse(readFileSync(path, "utf8")) as { model: string } | { iteration: number };
    return "iteration" in found ? this.modelFolder(found.iteration) : found.model;
  }

  /**
   * Settles an iteration: written last, so that what is there without it is made again. A model of the run is named by its iteration,
   * so that the run folder can be moved.
   */
  writeModel(iteration: number, model: string): void {
    const own = Array.from({ length: iteration }, (_, i) => i + 1).find((i) => this.modelFolder(i) === model);
    const result = own === undefined ? { model } : { iteration: own };
    atomicWriteFile(join(this.folder(iteration), "result.json"), `${JSON.stringify(result)}\n`);
  }

  /** Removes what was written after a step: later iterations, and the results of the one that the step lies within. */
  rewind(step: number, stepsOfIteration: number): void {
    if (!existsSync(this.dir)) return;
    const done = Math.floor(step / stepsOfIteration);
    for (const entry of readdirSync(this.dir)) {
      const iteration = Number(/^iteration-(\d+)$/.exec(entry)?.[1] ?? 0);
      if (iteration > done + 1) rmSync(join(this.dir, entry), { recursive: true, force: true });
      if (iteration !== done + 1) continue;
      for (const file of ["model", "result.json", "history.jsonl", "held-out.jsonl"])
        rmSync(join(this.dir, entry, file), { recursive: true, force: true });
      this.outputs(iteration).truncateToStep(step);
    }
  }
}
