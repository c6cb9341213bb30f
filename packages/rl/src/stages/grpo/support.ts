// Log-probabilities over the ids that truncated sampling kept (`rollout.replay_support`): of the sampler, of π_old and π_ref, and on the tape.
import type { Batch } from "@nsa/core";
import { scatterRows, type Tape, type Tensor } from "@nsa/kernels";
import { type GeneratedSample, type SupportPosition, supportLogp, type Transformer } from "@nsa/model";
import type { PolicySample } from "./batch.ts";

/** The sampler's log-probabilities over the kept ids: full-vocabulary ones less ln of the kept mass. */
export const samplerSupportLogp = ({ logp, keptLogmass }: GeneratedSample): number[] =>
  logp.map((x, t) => x - keptLogmass[t]!);

/** Positions of a micro-batch that have a target, with their kept ids. */
function positionsOf(batch: Batch, samples: ReadonlyMap<number, PolicySample>): SupportPosition[] {
  const positions: SupportPosition[] = [];
  for (let n = 0; n + 1 < batch.cuSeqlens.length; n++) {
    const { kept } = samples.get(batch.sampleIds[n]!)!;
    let token = 0;
    for (let row = batch.cuSeqlens[n]!; row < batch.cuSeqlens[n + 1]!; row++)
      if (batch.targets[row]! >= 0) positions.push({ row, kept: kept![token++]! });
  }
  return positions;
}

/** ln π over the kept ids at each position of a micro-batch that has a target, 0 elsewhere, [T]. `samples` by their `id`. */
export function supportLogpOf(
  model: Transformer,
  tape: Tape,
  hidden: Tensor,
  batch: Batch,
  samples: ReadonlyMap<number, PolicySample>,
  temperature: number,
): Tensor {
  const positions = positionsOf(batch, samples);
  const logp = supportLogp(model, tape, hidden, positions, temperature);
  const rows = model.device.from(
    Int32Array.from(positions, ({ row }) => row),
    [positions.length],
    "i32",
  );
  return scatterRows(tape, logp, rows, batch.tokens.length);
}

/** The same as an option of scoring without gradients. */
export const supportOf =
  (batch: Batch, samples: readonly PolicySample[], temperature: number) =>
  (model: Transformer, tape: Tape, hidden: Tensor): Tensor =>
    supportLogpOf(model, tape, hidden, batch, new Map(samples.map((s) => [s.id, s])), temperature);
