// Several corpora into one stream of steps by weights, which may change in stages (DeepSeekMath §2.2: 56/4/10/20/10).
import { type BatchSource, NsaError, parseState, type StepBatch } from "@nsa/core";
import { z } from "zod";
import type { Documents } from "./documents.ts";
import { type Cursor, DocumentStream, type PackOptions, stepOf } from "./pack.ts";

export interface MixedPart {
  name: string;
  documents: Documents;
}

export interface MixStage {
  /** First step after this stage; the last stage never ends. */
  until: number;
  /** Share of each part's tokens, by name; parts that are not named give none. Need not sum to 1. */
  weights: Record<string, number>;
}

interface MixState {
  step: number;
  stage: number;
  /** Tokens that each part gave in this stage. */
  used: number[];
  cursors: Cursor[];
}

/** Ids of samples of different parts never meet: part p's begin at p · 2^40. */
const PART_SAMPLES = 2 ** 40;
/** Part p shuffles with the random stream of a single corpus plus this much a part. */
const FIRST_STREAM = 32;

/**
 * An endless source of steps. Each piece comes from the part that is furthest behind its share of the stage's tokens, so
 * the shares hold to the length of a piece at every step; all is decided by counts and the seed, and `save` holds them.
 */
export class MixedSource implements BatchSource {
  readonly name = "data";
  readonly prefetch = 2;
  private readonly streams: DocumentStream[];
  /** Shares of the parts in each stage, [stages][parts]. */
  private readonly shares: number[][];
  private step = 0;
  private stage = 0;
  private used: number[];

  /** Throws NsaError `mix_unknown`, `mix_empty` (exit 2) when a stage names no part or gives all of them no weight. */
  constructor(
    private readonly parts: readonly MixedPart[],
    private readonly stages: readonly MixStage[],
    private readonly options: PackOptions,
  ) {
    this.streams = parts.map(
      ({ documents }, p) => new DocumentStream(documents, options.seed, FIRST_STREAM + p),
    );
    this.shares = stages.map(({ weights }) => sharesOf(parts, weights));
    this.used = parts.map(() => 0);
  }

  /** Tokens that each part gave in the stage it is in. */
  get tokensOfStage(): Record<string, number> {
    return Object.fromEntries(this.parts.map(({ name }, p) => [name, this.used[p]!]));
  }

  save(): MixState {
    const { step, stage, used, streams } = this;
    return { step, stage, used: [...used], cursors: streams.map((s) => s.save()) };
  }

  load(state: unknown): void {
    const { step, stage, used, cursors } = parseState("data", this.stateSchema(), state);
    this.step = step;
    this.stage = stage;
    this.used = [...used];
    for (const [p, cursor] of cursors.entries()) this.streams[p]!.load(cursor);
  }

  private stateSchema() {
    const natural = z.number().int().min(0);
    return z.strictObject({
      step: natural,
      stage: natural.max(this.stages.length - 1),
      used: z.array(natural).length(this.parts.length),
      cursors: z.array(z.unknown()).length(this.parts.length),
    });
  }

  next(): StepBatch {
    while (this.stage + 1 < this.stages.length && this.step >= this.stages[this.stage]!.until) {
      this.stage++;
      this.used.fill(0);
    }
    this.step++;
    const shares = this.shares[this.stage]!;
    return stepOf(this.options, (most) => {
      const p = this.furthestBehind(shares);
      const piece = this.streams[p]!.take(most);
      this.used[p]! += piece.length;
      return { ...piece, sample: p * PART_SAMPLES + piece.sample };
    });
  }

  /** The part with the least used / share; the first of equals. */
  private furthestBehind(shares: readonly number[]): number {
    let best = -1;
    for (let p = 0; p < shares.length; p++) {
      if (shares[p] === 0) continue;
      if (best < 0 || this.used[p]! * shares[best]! < this.used[best]! * shares[p]!) best = p;
    }
    return best;
  }

  async *[Symbol.asyncIterator](): AsyncIterator<StepBatch> {
    for (;;) yield this.next();
  }
}

function sharesOf(parts: readonly MixedPart[], weights: Record<string, number>): number[] {
  const names = parts.map((part) => part.name);
  const unknown = Object.keys(weights).find((name) => !names.includes(name));
  if (unknown !== undefined) {
    throw new NsaError({
      code: "mix_unknown",
      what: `the mix has no part ${unknown}`,
      why: `its parts are ${names.join(", ")}`,
      fix: "name a part of data.mix",
      exitCode: 2,
    });
  }
  const sum = Object.values(weights).reduce((a, b) => a + b, 0);
  if (sum > 0) return names.map((name) => (weights[name] ?? 0) / sum);
  throw new NsaError({
    code: "mix_empty",
    what: "a stage of the mix gives every part no weight",
    why: "there is nothing to train on",
    fix: "give at least one part a weight above 0",
    exitCode: 2,
  });
}
