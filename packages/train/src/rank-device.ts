// The device and the collectives of a stage that several ranks may share.
import { availableParallelism } from "node:os";
import type { StageContext } from "@nsa/core";
import {
  type Collectives,
  type Device,
  openDevice,
  openDeviceCollectives,
  openRankPipes,
  singleRank,
} from "@nsa/kernels";

/**
 * The device of the context. Ranks have a GPU each where that is `cuda`; else they share the CPU, each with its part of the cores unless the
 * recipe says how many.
 */
export function openStageDevice(
  { ranks, parallel, device, log }: Pick<StageContext, "ranks" | "parallel" | "device" | "log">,
  { threads, memoryLimitMb }: { threads: number; memoryLimitMb?: number },
): Device {
  const cores = ranks ? Math.max(1, Math.floor(availableParallelism() / parallel.world)) : 0;
  const options = { threads: threads || cores, memoryLimitMb, log: (text: string) => log(text) };
  if (ranks && device === "cuda")
    return openDevice(device, { ...options, ordinal: ranks.local ?? ranks.rank });
  return openDevice(ranks ? "cpu" : device, options);
}

/** The collectives between the ranks of this run: tensors of a GPU pass by its own library where the device is given, all else by pipes. */
export function collectivesOf({ ranks }: Pick<StageContext, "ranks">, device?: Device): Collectives {
  if (!ranks) return singleRank;
  return device?.name === "cuda" ? openDeviceCollectives(device, ranks) : openRankPipes(ranks);
}
