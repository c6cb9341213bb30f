// Worlds of ranks on a device: the calls of the addon.
import type { Addon } from "./addon.ts";

const VERBS = ["all-reduce", "reduce-scatter", "all-gather", "broadcast"] as const;
export type CommVerb = (typeof VERBS)[number];

/** Beginning and end of a transfer of several operations, and the wait for such transfers: they have no tensors. */
const MARKS = ["begin", "end", "settle"] as const;

/** Bytes of a world's name, as the ABI says. */
const NAME_BYTES = 128;

/** A tensor of the device. */
interface Held {
  readonly handle: number;
}

/** What a backend does between processes; each call throws where it has no worlds of ranks. */
export interface DeviceComm {
  readonly nameBytes: number;
  /** Fills the name of a new world, which one rank makes and all join. */
  name(into: Uint8Array): void;
  /** Returns when all ranks have joined. A device is in one world at most. */
  join(name: Uint8Array, rank: number, world: number): void;
  /** An operation of all ranks in stream order; `lengths` are the elements of each rank's part. */
  run(verb: CommVerb, from: Held, to: Held, lengths: readonly number[], root: number): void;
  /** What is run between `begin` and `end` may run beside the device's later work, up to `settle`. */
  mark(mark: (typeof MARKS)[number]): void;
}

export function deviceComm(
  native: Addon,
  device: number,
  guarded: (what: string, body: () => void) => void,
): DeviceComm {
  return {
    nameBytes: NAME_BYTES,
    name: (into) => guarded("the name of a world of ranks", () => native.commId(device, into)),
    join: (name, rank, world) =>
      guarded("the start of several ranks", () => native.commJoin(device, name, rank, world)),
    run: (verb, from, to, lengths, root) =>
      guarded(verb, () => {
        native.args.set(lengths);
        native.comm(device, VERBS.indexOf(verb), from.handle, to.handle, root, lengths.length);
      }),
    mark: (mark) =>
      guarded("a transfer between ranks", () =>
        native.comm(device, VERBS.length + MARKS.indexOf(mark), 0, 0, 0, 0),
      ),
  };
}
