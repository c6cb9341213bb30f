// Puts each step's outputs, and what was learned from them, on disk: see rollouts/store.ts.
import { join } from "node:path";
import { fingerprint } from "@nsa/kernels";
import type { Transformer } from "@nsa/model";
import { type RecordedTokens, recordedOutput } from "../../rollouts/record.ts";
import { RolloutStore } from "../../rollouts/store.ts";
import type { GrpoConfig } from "./config.ts";
import type { RecordableBatch } from "./learn.ts";
import type { Rollout } from "./rollout.ts";
import type { UpdateNotes } from "./update.ts";

/** Fingerprint of all weights, of the copies that the model computes with, too. */
export function weightsFingerprint({ parameters: { flat, low } }: Transformer): string {
  return [flat, ...(low ? [low] : [])].map(fingerprint).join("-");
}

/** A step being recorded: opened before its outputs are sampled, closed after its updates. */
export class StepRecorder {
  readonly notes: Required<UpdateNotes> = { oldLogp: new Map(), gradients: [] };
  private readonly before: string;

  constructor(
    private readonly store: RolloutStore,
    private readonly model: Transformer,
    private readonly step: number,
  ) {
    this.before = weightsFingerprint(model);
  }

  write({ outputs }: Rollout, { all, weightSum }: RecordableBatch): void {
    const { store, model, step, before, notes } = this;
    const policy = { version: step - 1, weights: before };
    let used = 0;
    const tokens = outputs.map(({ sample, discarded }): RecordedTokens => {
      const own = discarded ? undefined : all[used++]!;
      return {
        ids: sample.ids,
        ...(sample.inserts ? { inserts: sample.inserts } : {}),
        samplerLogp: own?.samplerLogp ?? sample.logp,
        oldLogp: (own && (own.oldLogp ?? notes.oldLogp.get(own.id))) ?? sample.ids.map(() => Number.NaN),
        ...(sample.kept ? { kept: sample.kept } : {}),
        ...(own?.refLogp ? { refLogp: own.refLogp } : {}),
        ...(own?.returns ? { oldValue: own.oldValue!, returns: own.returns } : {}),
        advantage: own?.advantage ?? new Float32Array(sample.ids.length),
        weight: own?.weight ?? 0,
      };
    });
    store.write({
      step,
      outputs: outputs.map((o, i) => recordedOutput(o, i, policy)),
      tokens,
      weightSum,
      weightsBefore: before,
      weightsAfter: weightsFingerprint(model),
      gradients: notes.gradients,
    });
  }
}

/** Where a run's rollouts are, as its recipe wants them. */
export function openRollouts(runDir: string, { rollout }: Pick<GrpoConfig, "rollout">): RolloutStore {
  const { keepRollouts } = rollout;
  const keep = keepRollouts === "all" ? Number.POSITIVE_INFINITY : keepRollouts;
  return new RolloutStore(join(runDir, "rollouts"), keep);
}
