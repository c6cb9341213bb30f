// Ranking quality against labels. Used to measure only; nothing in the loop reads it.

export interface RankingQuality {
  documents: number;
  positives: number;
  /** Mean of the precision at each positive. */
  averagePrecision: number;
  /** Precision in the first `positives` places. */
  rPrecision: number;
}

/** Documents in rank order, true where wanted. */
export function rankingQuality(rankedIsPositive: boolean[]): RankingQuality {
  const positives = rankedIsPositive.filter(Boolean).length;
  let hits = 0;
  let sum = 0;
  let atR = 0;
  rankedIsPositive.forEach((wanted, i) => {
    if (wanted) {
      hits++;
      sum += hits / (i + 1);
    }
    if (i === positives - 1) atR = hits;
  });
  return {
    documents: rankedIsPositive.length,
    positives,
    averagePrecision: positives === 0 ? 0 : sum / positives,
    rPrecision: positives === 0 ? 0 : atR / positives,
  };
}
