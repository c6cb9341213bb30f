// Duplicate verdicts over all shards of a set: exact keys, then near duplicates by MinHash.
import type { JobContext } from "../jobs/stage.ts";
import { clusterStep } from "../steps/cluster.ts";
import { exactStep } from "../steps/exact.ts";
import { minhashStep } from "../steps/minhash.ts";
import { nearStep } from "../steps/near.ts";
import type { ReadShard } from "../steps/read.ts";
import { runStep } from "../steps/step.ts";
import type { BuildConfig } from "./config.ts";

/** Writes `dedup/<set>/NAME.verdicts`, one byte a document. */
export async function dedupShards(
  ctx: JobContext,
  config: Pick<BuildConfig, "dedup">,
  shards: ReadShard[],
  set = "pool",
): Promise<{ verdicts: string[]; stats: Record<string, number> }> {
  const { url, exact, near } = config.dedup;
  const column = (kind: string) => shards.map((s) => `dedup/${set}/${s.name}.${kind}`);
  const [verdicts, kept] = [column("verdicts"), column("exact")];
  const keys = shards.map((s) => s.keys);
  const [first] = await runStep(ctx, `dedup ${set}`, exactStep, {
    set,
    url,
    exact,
    keys,
    verdicts: near.enabled ? kept : verdicts,
  });
  if (!near.enabled)
    return { verdicts, stats: { ...(first!.stats as Record<string, number>), dropped_near: 0 } };
  const [signatures, runs] = [column("signatures"), column("bands")];
  const { shingleWords, bands, rows, seed, threshold } = near;
  await runStep(ctx, `minhash ${set}`, minhashStep, {
    set,
    options: { shingleWords, bands, rows, seed },
    shards: shards.map(({ name, documents }, i) => ({
      name,
      documents,
      signatures: signatures[i]!,
      bands: runs[i]!,
    })),
  });
  const pairs = Array.from({ length: bands }, (_, band) => `dedup/${set}/band-${band}.pairs`);
  await runStep(ctx, `near ${set}`, nearStep, {
    set,
    options: { bands, rows, threshold },
    inputs: [...kept, ...signatures, ...runs],
    pairs,
  });
  const [last] = await runStep(ctx, `cluster ${set}`, clusterStep, { set, kept, pairs, verdicts });
  return { verdicts, stats: { ...first!.stats, ...last!.stats } as Record<string, number> };
}
