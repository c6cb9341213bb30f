// Block scores of a hand-worked example, the forced blocks and ties, and the rules on block sizes.
import { afterAll, describe, expect, test } from "vitest";
import { Device, type NsaConfig, packDocuments, resolveNsaConfig, selectBlocks } from "../src/index.ts";

const device = Device.open("reference");
afterAll(() => device.close());

const paper: NsaConfig = {
  heads: 1,
  kvHeads: 1,
  dimK: 1,
  dimV: 1,
  blockSize: 32,
  stride: 16,
  selectionBlockSize: 64,
  numSelectedBlocks: 3,
  windowSize: 512,
  scale: 1,
};

/** Selection for q = 1 and compressed keys log(weights): p_cmp is proportional to the weights that t sees. */
function select(config: NsaConfig, T: number, weights: number[]) {
  const docs = packDocuments(device, [0, T], config);
  const nb = docs.compressed!.blocks;
  expect(weights.length).toBe(nb);
  const q = device.full([T, 1], "f64", 1);
  const k = device.from(weights.map(Math.log), [nb, 1], "f64");
  const lse = Array.from({ length: T }, (_, t) =>
    Math.log(weights.filter((_, i) => 16 * i + 31 <= t).reduce((a, b) => a + b, 0)),
  );
  const blocks = Math.ceil(T / config.selectionBlockSize);
  const scores = device.empty([T, 1, blocks], "f64");
  const idx = selectBlocks(q, k, device.from(lse, [T, 1], "f64"), docs, config, scores);
  const row = <A extends ArrayLike<number>>(a: A, t: number, n: number) =>
    Array.from(a).slice(t * n, (t + 1) * n);
  const [s, i] = [scores.read(), idx.read()];
  return {
    scores: (t: number) => row(s, t, blocks),
    idx: (t: number) => row(i, t, config.numSelectedBlocks),
  };
}

test("block_scores_of_the_hand_worked_example", () => {
  using _ = device.scope();
  // Eleven compressed blocks in 192 tokens, p_cmp[i] = (i + 1)/66 at the last token. Weights 1,2,2,2,1 on 4J−1 … 4J+3:
  // J=0: 2·1+2·2+2·3+1·4 = 16; J=1: 1·4+2·5+2·6+2·7+1·8 = 48; J=2: 1·8+2·9+2·10+2·11 = 68.
  const got = select(
    paper,
    192,
    Array.from({ length: 11 }, (_, i) => i + 1),
  );
  [16 / 66, 48 / 66, 68 / 66].forEach((want, J) => void expect(got.scores(191)[J]).toBeCloseTo(want, 12));
  // Token 100 sees blocks 0 … 4 (sum 15) and the selection blocks 0 and 1.
  [16 / 15, 14 / 15, 0].forEach((want, J) => void expect(got.scores(100)[J]).toBeCloseTo(want, 12));
  expect(got.scores(20)).toEqual([0, 0, 0]);
  expect(got.idx(20)).toEqual([0, -1, -1]);
  expect(got.idx(191)).toEqual([0, 1, 2]);
});

test("first_and_last_two_blocks_are_forced_and_ties_go_to_the_lower_index", () => {
  using _ = device.scope();
  const T = 64 * 8;
  const flat = select({ ...paper, numSelectedBlocks: 5 }, T, Array(31).fill(1));
  expect(flat.idx(T - 1)).toEqual([0, 1, 2, 6, 7]);
  const peaked = Array.from({ length: 31 }, (_, i) => (i === 17 ? 50 : i === 9 ? 20 : 1));
  expect(select({ ...paper, numSelectedBlocks: 5 }, T, peaked).idx(T - 1)).toEqual([0, 2, 4, 6, 7]);
  expect(select(paper, T, peaked).idx(64 * 5)).toEqual([0, 4, 5]);
});

describe("sizes_that_do_not_fit_are_refused_with_exit_2", () => {
  const bad: Record<string, Partial<NsaConfig>> = {
    "stride does not divide block_size": { blockSize: 40 },
    "stride does not divide selection_block_size": { selectionBlockSize: 72 },
    "fewer selected than forced blocks": { numSelectedBlocks: 2 },
    "heads not a multiple of KV heads": { heads: 3, kvHeads: 2 },
    "no window": { windowSize: 0 },
    "fractional stride": { stride: 1.5 },
  };
  for (const [name, change] of Object.entries(bad)) {
    test(name, () => {
      expect(() => resolveNsaConfig({ ...paper, ...change })).toThrowError(
        expect.objectContaining({ code: "nsa_config_invalid", exitCode: 2 }),
      );
    });
  }
});
