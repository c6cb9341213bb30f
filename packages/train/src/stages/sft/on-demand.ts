// Examples that are tokenized when a step wants them (`data.on_demand`): the first step needs no pass over the texts, and memory does not
// grow with their number.
//
// The unit is a record: the examples of a conversation whose template rewrites earlier turns stay together. Records that cannot be used
// (not JSON, not rendered, too long, nothing to learn) are passed over when they are drawn; the first of each reason is named.
import { join } from "node:path";
import { type Batch, NsaError } from "@nsa/core";
import { expandInputs, type Tokenizer } from "@nsa/data";
import type { ChatTemplate } from "@nsa/tasks";
import { type ShuffledOptions, ShuffledSource } from "../../shuffled-source.ts";
import { checkSource, examplesOf, ONE_RECORD, type Source, usability } from "./examples.ts";
import { RecordIndex } from "./record-index.ts";
import { type Example, packExamples, weightedOrder } from "./source.ts";

/** Records whose examples are held: a step looks at the next one before it takes it. */
const HELD = 64;
/** Errors of one record. In the middle of a run it is better left out; where all have it, the start ends with it. */
const LEFT_OUT = [...ONE_RECORD, "data_field_missing"];
/** Records that are tried before it is said that none can be used. */
const TRIED = 1000;

export interface OnDemandOptions {
  sources: readonly Source[];
  seqLen: number;
  chat?: ChatTemplate | undefined;
  tokenizer: Tokenizer;
  /** Where compressed files are decompressed. */
  dir: string;
  warn: (text: string) => void;
}

export class OnDemandExamples {
  private readonly held = new Map<number, readonly Example[]>();
  private readonly named = new Set<string>();

  private constructor(
    private readonly index: RecordIndex,
    private readonly options: OnDemandOptions,
  ) {}

  /** Throws NsaError `corpus_empty`, `data_*`, `disk_full` (exit 3), `sft_source_invalid` (exit 2). */
  static async open(options: OnDemandOptions): Promise<OnDemandExamples> {
    const { sources, dir } = options;
    for (const source of sources) {
      checkSource(source);
      if (source.labels)
        throw new NsaError({
          code: "sft_source_invalid",
          what: `the source ${source.files.join(", ")} has labels, and data.on_demand is set`,
          why: "which verdict on an output is the last is known only when the whole file is read",
          fix: "remove on_demand",
          exitCode: 2,
        });
    }
    const files = sources.flatMap((s, source) => expandInputs(s.files).map((path) => ({ path, source })));
    const limits = sources.map(({ maxExamples }) => maxExamples ?? Number.POSITIVE_INFINITY);
    const index = await RecordIndex.open(files, limits, join(dir, "records"));
    const opened = new OnDemandExamples(index, options);
    opened.checkUsable();
    return opened;
  }

  /** Records of all files. */
  get count(): number {
    return this.index.count;
  }

  /** The examples of a record; none where it cannot be used. */
  at(index: number): readonly Example[] {
    let examples = this.held.get(index);
    if (!examples) {
      examples = this.read(index);
      this.held.set(index, examples);
      if (this.held.size > HELD) this.held.delete(this.held.keys().next().value!);
    }
    return examples;
  }

  /** Number of a record's source. */
  sourceOf(index: number): number {
    return this.index.sourceOf(index);
  }

  close(): void {
    this.index.close();
  }

  private read(index: number): Example[] {
    const { sources, tokenizer, chat, seqLen } = this.options;
    const { text, source, place } = this.index.read(index);
    let record: unknown;
    try {
      record = JSON.parse(text);
    } catch {
      record = undefined;
    }
    if (typeof record !== "object" || record === null || Array.isArray(record))
      return this.leaveOut("the line is not a JSON object", place);
    try {
      return examplesOf(sources[source]!, record as Record<string, unknown>, place, tokenizer, chat).flatMap(
        ({ example }) => {
          const fault = usability(example, seqLen);
          return fault === undefined ? [example] : this.leaveOut(fault, place);
        },
      );
    } catch (error) {
      if (!(error instanceof NsaError && LEFT_OUT.includes(error.code))) throw error;
      return this.leaveOut(`${error.code}: ${error.why}`, place);
    }
  }

  private leaveOut(reason: string, place: string): never[] {
    if (!this.named.has(reason) && this.named.size < 20) {
      this.named.add(reason);
      this.options.warn(`records are left out: ${reason} (first at ${place})`);
    }
    return [];
  }

  private checkUsable(): void {
    let usable = 0;
    for (let i = 0; i < Math.min(TRIED, this.count) && usable < 2; i++)
      usable += this.at(i).length > 0 ? 1 : 0;
    if (usable >= 2) return;
    throw new NsaError({
      code: "corpus_empty",
      what: `there are ${usable} usable examples among the first ${Math.min(TRIED, this.count)} records`,
      why: [...this.named].join("; ") || "the files are empty",
      fix: "correct the templates or the files, or allow longer examples",
      exitCode: 3,
    });
  }
}

/** Steps over records in an order drawn anew each epoch. `records`: the numbers that are trained on. */
export class OnDemandSource extends ShuffledSource {
  constructor(
    examples: OnDemandExamples,
    records: Uint32Array,
    options: ShuffledOptions,
    weights: readonly number[] = [],
  ) {
    const at = (i: number) => examples.at(records[i]!);
    const sourceOf = (i: number) => examples.sourceOf(records[i]!);
    super(
      {
        order: weightedOrder(weights, records.length, sourceOf, options.seed),
        count: records.length,
        positions: (i) => at(i).reduce((n, e) => n + e.ids.length - 1, 0),
        pack: (indices) => {
          const all = indices.flatMap((i) => [...at(i)]);
          return packExamples(
            all,
            all.map((_, n) => n),
          );
        },
        weight: (batch: Batch) => batch.lossWeight.reduce((a, w) => a + w, 0),
      },
      options,
    );
  }
}
