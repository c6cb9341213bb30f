// Measures a ranking against a labels file. Nothing here feeds back into the loop.
import { join } from "node:path";
import { NsaError } from "@nsa/core";
import { forEachJson } from "../readers/each.ts";
import { readDocumentsRows } from "../readers/rows.ts";
import type { CleanShard } from "../steps/clean.ts";
import { rankOrder } from "../steps/rank.ts";
import { type RankingQuality, rankingQuality } from "./metrics.ts";
import { type Page, readScores } from "./shards.ts";

/** A tenth of the score range: how often its documents are wanted. */
export interface CalibrationBin {
  from: number;
  documents: number;
  wanted: number;
}

export interface Quality extends RankingQuality {
  /** Documents of the pool without a label (left out). */
  unlabelled: number;
  calibration: CalibrationBin[];
  /** Points of the precision/recall curve. */
  curve: { threshold: number; precision: number; recall: number }[];
}

/** Labels by document id: true where wanted. */
export async function readLabels(path: string, positive: string): Promise<Map<string, boolean>> {
  const labels = new Map<string, boolean>();
  for await (const row of readDocumentsRows(path)) {
    if (typeof row.id !== "string" || typeof row.label !== "string") {
      throw new NsaError({
        code: "labels_bad",
        what: `row ${labels.size + 1} of ${path} is no label`,
        why: "it has no string fields `id` and `label`",
        fix: 'write one {"id": …, "label": …} a line',
        exitCode: 3,
      });
    }
    labels.set(row.id, row.label === positive);
  }
  return labels;
}

export function measureRanking(
  outDir: string,
  shards: CleanShard[],
  scoreFiles: string[],
  labels: Map<string, boolean>,
): Quality {
  const scores: number[] = [];
  const wanted: boolean[] = [];
  let unlabelled = 0;
  shards.forEach((shard, s) => {
    const column = readScores(join(outDir, scoreFiles[s]!));
    forEachJson<Page>(join(outDir, shard.pages), ({ id }, i) => {
      const label = labels.get(id);
      if (label === undefined) {
        unlabelled++;
        return;
      }
      scores.push(column[i]!);
      wanted.push(label);
    });
  });
  if (scores.length === 0) {
    throw new NsaError({
      code: "labels_do_not_fit",
      what: "no document of the pool has a label",
      why: `the ${labels.size} ids of the labels file match none of the ${unlabelled} documents`,
      fix: "give the labels file of this pool, or leave `labels` out",
      exitCode: 3,
    });
  }
  const order = rankOrder(Float32Array.from(scores));
  const ranked = Array.from(order, (i) => wanted[i]!);
  const calibration = Array.from({ length: 10 }, (_, b) => ({ from: b / 10, documents: 0, wanted: 0 }));
  scores.forEach((score, i) => {
    const bin = calibration[Math.min(9, Math.floor(score * 10))]!;
    bin.documents++;
    bin.wanted += wanted[i] ? 1 : 0;
  });
  const quality = rankingQuality(ranked);
  const curve: Quality["curve"] = [];
  let hits = 0;
  const stride = Math.max(1, Math.floor(ranked.length / 100));
  ranked.forEach((hit, k) => {
    if (hit) hits++;
    if ((k + 1) % stride === 0)
      curve.push({
        threshold: scores[order[k]!]!,
        precision: hits / (k + 1),
        recall: quality.positives === 0 ? 0 : hits / quality.positives,
      });
  });
  return { ...quality, unlabelled, calibration, curve };
}
