// Collectives between processes that each have a GPU: tensors by the device's own library (NCCL), in stream order; host numbers and
// barriers by pipes, which also notice a rank that ended.
import { ExitCode, NsaError, type RankPlace } from "@nsa/core";
import type { CommVerb } from "../device/comm.ts";
import type { Device, Tensor } from "../device/tensor.ts";
import type { Collectives, PartOptions, RankGroup } from "./collectives.ts";
import { membersOf, misuse, partsOf } from "./groups.ts";
import { openRankPipes } from "./pipe-collectives.ts";

function nameWorld(device: Device, into: Uint8Array): void {
  try {
    device.comm.name(into);
  } catch (cause) {
    if (!(cause instanceof NsaError) || cause.code !== "op_unsupported") throw cause;
    throw new NsaError({
      code: "ranks_unavailable",
      what: "several ranks cannot run on these GPUs",
      why: cause.why,
      fix: "install NCCL (e.g. pip's nvidia-nccl-cu13) or name its file by NSA_NCCL, or leave out --ranks",
      exitCode: ExitCode.unavailable,
      cause,
    });
  }
}

/** Its name passes the pipes as numbers, which are summed: all but rank 0 give zeros. */
function joinWorld(device: Device, pipes: Collectives): void {
  const own = new Uint8Array(device.comm.nameBytes);
  if (pipes.rank === 0) nameWorld(device, own);
  const name = Uint8Array.from(pipes.allReduceNumbers([...own]));
  device.comm.join(name, pipes.rank, pipes.world);
}

class DeviceCollectives implements Collectives {
  readonly rank: number;
  readonly world: number;

  constructor(
    private readonly device: Device,
    private readonly pipes: Collectives,
  ) {
    this.rank = pipes.rank;
    this.world = pipes.world;
  }

  /** Sums in the order of the library's algorithm: the same bits on all ranks, and in each run of as many. */
  allReduce(t: Tensor, group?: RankGroup): void {
    this.refuseGroup(group);
    this.run("all-reduce", t, t);
  }

  reduceScatter(t: Tensor, out: Tensor, options: PartOptions = {}): void {
    this.refuseGroup(options.group);
    const { lengths } = partsOf(this, "reduce-scatter", t.numel, out.numel, options);
    this.run("reduce-scatter", t, out, { lengths });
  }

  reduceTo(t: Tensor, root: number): void {
    this.refuseRoot("a sum", root);
    if (t.numel === 0) return;
    const lengths = Array.from({ length: this.world }, (_, r) => (r === root ? t.numel : 0));
    using _ = this.device.scope();
    this.run("reduce-scatter", t, root === this.rank ? t : t.view(0, [0]), { lengths });
  }

  allGather(part: Tensor, out: Tensor, options: PartOptions = {}): void {
    this.refuseGroup(options.group);
    const { lengths } = partsOf(this, "all-gather", out.numel, part.numel, options);
    this.run("all-gather", part, out, { lengths });
  }

  broadcast(t: Tensor, root: number, group?: RankGroup): void {
    this.refuseGroup(group);
    this.refuseRoot("broadcast", root);
    this.run("broadcast", t, t, { root });
  }

  allReduceNumbers(values: number[], group?: RankGroup): number[] {
    return this.pipes.allReduceNumbers(values, group);
  }

  gatherBytes(own: Uint8Array, group?: RankGroup): Uint8Array[] {
    return this.pipes.gatherBytes(own, group);
  }

  barrier(group?: RankGroup): void {
    this.pipes.barrier(group);
  }

  readonly overlaps = true;

  together(body: () => void): void {
    const { comm } = this.device;
    comm.mark("begin");
    try {
      body();
    } finally {
      comm.mark("end");
    }
  }

  settle(): void {
    this.device.comm.mark("settle");
  }

  private refuseRoot(what: string, root: number): void {
    if (!Number.isInteger(root) || root < 0 || root >= this.world)
      throw misuse(`${what} from rank ${root}`, `there are ${this.world} ranks`);
  }

  private run(
    verb: CommVerb,
    from: Tensor,
    to: Tensor,
    { lengths, root = 0 }: { lengths?: readonly number[]; root?: number } = {},
  ): void {
    if (Math.max(from.numel, to.numel) === 0 && !lengths) return;
    if (from.dtype !== to.dtype) throw misuse(verb, `a tensor of ${from.dtype} into one of ${to.dtype}`);
    this.device.comm.run(verb, from, to, lengths ?? Array.from({ length: this.world }, () => 0), root);
  }

  private refuseGroup(group: RankGroup | undefined): void {
    if (membersOf(this, group).length === this.world) return;
    throw new NsaError({
      code: "collective_unavailable",
      what: `a collective of the ranks ${group!.join(", ")} of ${this.world}`,
      why: "on GPUs all ranks take part in each; groups of them are not built",
      fix: "use all ranks",
      exitCode: ExitCode.unavailable,
    });
  }
}

/**
 * Joins the world at `place.folder` with a device whose backend has worlds of its own; waits until all ranks have. Throws NsaError
 * `ranks_unavailable`, `device_lost` with the library's reason (exit 4).
 */
export function openDeviceCollectives(device: Device, place: RankPlace): Collectives {
  const pipes = openRankPipes(place);
  joinWorld(device, pipes);
  return new DeviceCollectives(device, pipes);
}
