// How well numbers tell right from wrong: the area under the ROC curve, and how far probabilities are from frequencies.

/**
 * Chance that a right item has the larger number than a wrong one, ties counting ½; NaN where there are not both. Weighted labels in
 * (0, 1) count as that share of a right item and the rest of a wrong one.
 */
export function rocAuc(numbers: readonly number[], labels: readonly number[]): number {
  const order = numbers.map((_, i) => i).sort((a, b) => numbers[a]! - numbers[b]!);
  let [below, sum] = [0, 0];
  for (let from = 0; from < order.length; ) {
    let to = from;
    let [right, wrong] = [0, 0];
    for (; to < order.length && numbers[order[to]!] === numbers[order[from]!]; to++) {
      right += labels[order[to]!]!;
      wrong += 1 - labels[order[to]!]!;
    }
    sum += right * (below + wrong / 2);
    below += wrong;
    from = to;
  }
  const right = labels.reduce((a, b) => a + b, 0);
  return sum / (right * (labels.length - right));
}

/** Expected calibration error: mean |probability − share that is right| over bins of equal width, weighted by their items. */
export function calibrationError(
  probabilities: readonly number[],
  labels: readonly number[],
  bins = 10,
): number {
  const sums = Array.from({ length: bins }, () => 0);
  for (const [i, p] of probabilities.entries())
    sums[Math.min(bins - 1, Math.floor(p * bins))]! += p - labels[i]!;
  return sums.reduce((a, b) => a + Math.abs(b), 0) / probabilities.length;
}
