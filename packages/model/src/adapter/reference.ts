// The policy that a KL or a margin is measured against: a model of its own, or the trained one with its adapters as they were.
//
// A reference of a policy with adapters needs no second copy of the weights. New adapters change nothing, so the reference of the start
// is the policy with its adapters off; a later one, or that of adapters that were loaded, is a copy of the trained weights alone, exchanged with the policy's for as long as the
// reference is computed. Neither touches the policy's bits. Captured steps compute with adapters on: no reference may run inside one.
import type { Batch } from "@nsa/core";
import type { Tensor } from "@nsa/kernels";
import { loadCheckpoint } from "../checkpoint/checkpoint.ts";
import { openWeights } from "../checkpoint/load-model.ts";
import { readCheckpointState } from "../checkpoint/read-state.ts";
import { loadNamed } from "../checkpoint/weights.ts";
import { logprobs, type ScoringOptions } from "../heads/apply.ts";
import type { Transformer } from "../transformer/transformer.ts";
import { headTensors } from "./groups.ts";
import { isAdapterTensor } from "./weights.ts";

type Scored = ReturnType<typeof logprobs>;

export interface ReferencePolicy {
  /** Log-probabilities without gradients, host arrays of T values. */
  logprobs(batch: Pick<Batch, "tokens" | "targets" | "cuSeqlens">, options?: ScoringOptions): Scored;
  /** The reference becomes the policy as it is now. */
  renew(policy: Transformer): void;
  /** The reference becomes the policy of a checkpoint on the same base. */
  load(checkpoint: string): Promise<void>;
}

/** A reference with weights of its own. */
export function wholeReference(model: Transformer): ReferencePolicy {
  return {
    logprobs: (batch, options) => logprobs(model, batch, options),
    renew: (policy) => model.parameters.copyFrom(policy.parameters),
    load: async (checkpoint) => void (await loadCheckpoint(checkpoint, { model })),
  };
}

/** Whether turning the adapters off gives the policy as it began: nothing else is trained but numbers of its own head. */
function onlyAdapters({ parameters, config }: Transformer): boolean {
  const head = headTensors(config);
  const trained = parameters.layout.groups.flatMap((g) => (g.trainable ? g.weights : []));
  return trained.every((w) => w.parts.every(({ name }) => isAdapterTensor(name) || head.includes(name)));
}

/** The policy as it is now; later ones are copies of what is trained. `fresh`: its adapters are new, and so change nothing. */
export function adapterReference(policy: Transformer, fresh = true): ReferencePolicy {
  const { device, parameters } = policy;
  const { trainableNumel } = parameters.layout;
  let copy: Tensor | undefined;
  const current = () => parameters.flat.view(0, [trainableNumel]);
  const snapshot = () => {
    using scope = device.scope();
    copy ??= device.label(scope.detach(device.empty([trainableNumel], parameters.flat.dtype)), "reference");
    device.run("copy", { x: current(), y: copy });
  };
  if (!fresh || !onlyAdapters(policy)) snapshot();
  const withAdaptersOff = (body: () => Scored): Scored => {
    parameters.adaptersOff = true;
    try {
      return body();
    } finally {
      parameters.adaptersOff = false;
    }
  };
  const withCopy = (body: () => Scored): Scored => {
    using _ = device.scope();
    const own = device.empty([trainableNumel], parameters.flat.dtype);
    const put = (from: Tensor) => {
      device.run("copy", { x: from, y: current() });
      parameters.refreshLow(trainableNumel);
    };
    device.run("copy", { x: current(), y: own });
    put(copy!);
    try {
      return body();
    } finally {
      put(own);
    }
  };
  return {
    logprobs: (batch, options) => (copy ? withCopy : withAdaptersOff)(() => logprobs(policy, batch, options)),
    renew: snapshot,
    async load(checkpoint) {
      snapshot();
      using file = openWeights(checkpoint, await readCheckpointState(checkpoint));
      loadNamed((name) => (file.entries.has(name) ? file : undefined), parameters.tensorsIn(copy!));
    },
  };
}
