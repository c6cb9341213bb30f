// Queries correlated with their neighbours, as those of a trained model, and how many blocks neighbours choose together.
import type { Tensor } from "../../src/index.ts";

/**
 * Makes noise [rows, width] of variance 1 into x_t = ρ·x_{t−1} + √(1 − ρ²)·noise_t, of variance 1 too, in place. Sums of 2^k terms
 * are made of two of half as many, up to terms below 1e-3.
 */
export function correlate(noise: Tensor, rho: number): void {
  const [rows, width] = noise.shape as [number, number];
  const { device } = noise;
  const fresh = Math.sqrt(1 - rho * rho);
  const first = noise.view(0, [width]);
  device.run("binary_scalar", { a: first, y: first, value: 1 / fresh, kind: 2 });
  device.run("binary_scalar", { a: noise, y: noise, value: fresh, kind: 2 });
  const before = device.empty(noise.shape, noise.dtype);
  for (let reach = 1; reach < rows && rho ** reach > 1e-3; reach *= 2) {
    device.run("copy", { x: noise, y: before });
    const later = noise.view(reach * width, [(rows - reach) * width]);
    const earlier = before.view(0, [(rows - reach) * width]);
    device.run("add", { a: later, b: earlier, y: later, alpha: 1, beta: rho ** reach });
  }
  before.free();
}

/** Blocks that `neighbours` queries in a row choose together, over those of one of them: the mean over the second half of idx [T, G, n]. */
export function union(idx: ArrayLike<number>, groups: number, n: number, neighbours = 4): number {
  const row = groups * n;
  const tokens = idx.length / row;
  let [together, one] = [0, 0];
  for (let t = Math.ceil(tokens / 2 / neighbours) * neighbours; t + neighbours <= tokens; t += neighbours) {
    for (let g = 0; g < groups; g++) {
      const blocks = new Set<number>();
      let chosen = 0;
      for (let i = 0; i < neighbours * n; i++) {
        const block = idx[(t + Math.floor(i / n)) * row + g * n + (i % n)]!;
        if (block < 0) continue;
        blocks.add(block);
        chosen++;
      }
      together += blocks.size;
      one += chosen / neighbours;
    }
  }
  return together / one;
}

/**
 * ρ at which `unionAt` is `wanted`, to 1e-3, by halving [0, 1): the union falls as ρ rises. 0 where independent queries share more
 * than that already.
 */
export function rhoOf(wanted: number, unionAt: (rho: number) => number): number {
  let [low, up] = [0, 1];
  while (up - low > 1e-3) {
    const rho = (low + up) / 2;
    if (unionAt(rho) > wanted) low = rho;
    else up = rho;
  }
  return low;
}
