// What iterations leave in the run folder, by iteration: the labelled outputs, history after it, and the reward model that came of it.
import { existsSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { atomicWriteFile, ExitCode, eachLine, firstComplaint, JsonlFile, NsaError } from "@nsa/core";
import { z } from "zod";
import { Reservoir } from "../../reward/replay.ts";

/** A record as it stands in a file. */
export type Line = string;

const natural = z.number().int().min(0);
const record = z.looseObject({});
/** What is read of an output's row here; its labels are checked where they are trained on. */
const outputRow = z.looseObject({ step: natural, output: natural, prompt_ids: z.array(natural) });
/** Earlier versions did not count the rows that were kept. */
const historyHead = z.strictObject({ seen: natural, kept: natural.optional() });
const result = z.union([
  z.strictObject({ iteration: natural.min(1), held_out: natural.optional() }),
  z.strictObject({ model: z.string().min(1), held_out: natural.optional() }),
]);

/** A file of an iteration that cannot be used. */
export function damaged(place: string, why: string): NsaError {
  return new NsaError({
    code: "iteration_damaged",
    what: place,
    why,
    fix: "put the file back, or name a checkpoint from before the end of its iteration with --resume: the iteration is then made again",
    exitCode: ExitCode.data,
  });
}

/** JSON that fits a schema. Throws NsaError `iteration_damaged` (exit 3) with its place. */
function parse<T>(text: string, schema: z.ZodType<T>, place: string): T {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw damaged(place, `it is not JSON: ${JSON.stringify(text.slice(0, 60))}`);
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const { path, why } = firstComplaint(parsed.error, value);
  throw damaged(place, path === "" ? why : `${path}: ${why}`);
}

/** Lines of a file that was written whole: each ends, and fits its schema. */
function wholeLines(path: string, schemaOf: (line: number) => z.ZodType): Line[] {
  const { size } = statSync(path);
  let at = 0;
  return Array.from(eachLine(path), (bytes, i) => {
    const line = bytes.toString("utf8");
    const place = `${path}:${i + 1}`;
    at += bytes.length + 1;
    if (at > size) throw damaged(place, "the line has no end: the file was cut");
    parse(line, schemaOf(i + 1), place);
    return line;
  });
}

const name = (iteration: number) => `iteration-${String(iteration).padStart(3, "0")}`;

export class IterationFiles {
  constructor(readonly dir: string) {}

  folder(iteration: number): string {
    return join(this.dir, name(iteration));
  }

  outputs(iteration: number): JsonlFile {
    return new JsonlFile(join(this.folder(iteration), "outputs.jsonl"));
  }

  /** Lines of the iteration's outputs, or of those held out of training. Throws NsaError `iteration_damaged` (exit 3). */
  lines(iteration: number, file: "outputs" | "held-out"): Line[] {
    const path = join(this.folder(iteration), `${file}.jsonl`);
    const lines = existsSync(path) ? wholeLines(path, () => (file === "outputs" ? outputRow : record)) : [];
    const counted = file === "held-out" ? this.result(iteration)?.held_out : undefined;
    if (counted !== undefined && counted !== lines.length)
      throw damaged(path, `it has ${lines.length} rows, and ${counted} were written`);
    return lines;
  }

  writeHeldOut(iteration: number, lines: readonly Line[]): void {
    atomicWriteFile(
      join(this.folder(iteration), "held-out.jsonl"),
      lines.map((line) => `${line}\n`).join(""),
    );
  }

  /** History after an iteration; undefined before it was written. Throws NsaError `iteration_damaged` (exit 3). */
  history(iteration: number, size: number, seed: number): Reservoir<Line> | undefined {
    const path = join(this.folder(iteration), "history.jsonl");
    if (!existsSync(path)) return undefined;
    const [first, ...kept] = wholeLines(path, (line) => (line === 1 ? historyHead : record));
    if (first === undefined) throw damaged(path, "it is empty");
    const head = parse(first, historyHead, `${path}:1`);
    const written = head.kept ?? Math.min(head.seen, kept.length);
    if (kept.length !== written || kept.length > head.seen)
      throw damaged(
        path,
        `it has ${kept.length} records, and ${head.kept ?? `at most ${head.seen}`} were written`,
      );
    return new Reservoir<Line>(size, seed, head.seen, kept);
  }

  writeHistory(iteration: number, { seen, items }: Reservoir<Line>): void {
    const lines = [JSON.stringify({ seen, kept: items.length }), ...items];
    atomicWriteFile(join(this.folder(iteration), "history.jsonl"), lines.map((line) => `${line}\n`).join(""));
  }

  modelFolder(iteration: number): string {
    return join(this.folder(iteration), "model");
  }

  private result(iteration: number): z.output<typeof result> | undefined {
    const path = join(this.folder(iteration), "result.json");
    return existsSync(path) ? parse(readFileSync(path, "utf8"), result, path) : undefined;
  }

  /** The reward model in force after an iteration; undefined before it was settled. Throws NsaError `iteration_damaged` (exit 3). */
  model(iteration: number): string | undefined {
    const found = this.result(iteration);
    if (!found) return undefined;
    return "iteration" in found ? this.modelFolder(found.iteration) : found.model;
  }

  /**
   * Settles an iteration: written last, so that what is there without it is made again. A model of the run is named by its iteration,
   * so that the run folder can be moved.
   */
  writeModel(iteration: number, model: string): void {
    const own = Array.from({ length: iteration }, (_, i) => i + 1).find((i) => this.modelFolder(i) === model);
    const of = own === undefined ? { model } : { iteration: own };
    const row = { ...of, held_out: this.lines(iteration, "held-out").length };
    atomicWriteFile(join(this.folder(iteration), "result.json"), `${JSON.stringify(row)}\n`);
  }

  /**
   * Requires the rows of the outputs of steps `from` … `to` of an iteration; `counts`: how many each step had, where that is recorded
   * elsewhere. Throws NsaError `iteration_damaged` (exit 3).
   */
  requireSteps(iteration: number, from: number, to: number, counts: ReadonlyMap<number, number>): void {
    const found = new Map<number, number>();
    const { path } = this.outputs(iteration);
    for (const [i, line] of this.lines(iteration, "outputs").entries()) {
      const { step, output } = JSON.parse(line) as z.output<typeof outputRow>;
      const next = found.get(step) ?? 0;
      if (output !== next)
        throw damaged(
          `${path}:${i + 1}`,
          `it is output ${output} of step ${step}, and output ${next} was to follow`,
        );
      found.set(step, next + 1);
    }
    for (let step = from; step <= to; step++) {
      const rows = found.get(step) ?? 0;
      const wanted = counts.get(step) ?? Math.max(1, rows);
      if (rows !== wanted) throw damaged(path, `it has ${rows} of the ${wanted} outputs of step ${step}`);
    }
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
