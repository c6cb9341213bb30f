// Ablations at inference: NSA with one of its branches silenced.
import type { NsaInputs, Tensor } from "@nsa/kernels";
import { nsa } from "../attention/nsa.ts";
import type { Attend } from "./layer.ts";
import type { DeviceBatch } from "./transformer.ts";

const BRANCHES = ["cmp", "slc", "win"] as const;
export type Branch = (typeof BRANCHES)[number];

/** A logit whose sigmoid is 0 in every dtype. */
const CLOSED = -1e4;

/**
 * The attention step of a forward without gradients in which a branch's gate is zero (NSA eq. 5: g_t^c = 0) in all NSA
 * layers; selection still reads the compressed scores. Other layers stay as they are.
 */
export function muteBranch(branch: Branch, batch: DeviceBatch): Attend {
  const at = BRANCHES.indexOf(branch);
  return (layer, inputs, tape) => {
    if (layer.attention !== nsa) return layer.attend(tape, inputs, batch.docs);
    const own = inputs as NsaInputs;
    const values = own.gate.read();
    for (let i = at; i < values.length; i += 3) values[i] = CLOSED;
    const gate: Tensor = own.gate.device.from(values, own.gate.shape, own.gate.dtype);
    return nsa.attend(tape, layer.config, { ...own, gate }, batch.docs);
  };
}
