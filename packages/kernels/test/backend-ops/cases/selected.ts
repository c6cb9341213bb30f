// Cases of attention over selected blocks: lists as a selection makes them, and lists that none makes.
import { given, type OpCase } from "../case.ts";
import { both, eachRow, type Sizes } from "./attention.ts";

/** Blocks of each query: the first, then spread ones, then its own; −1 behind. */
function selection(s: Sizes, block: number, n: number): Int32Array {
  const idx = new Int32Array(s.borders.at(-1)! * s.hkv * n).fill(-1);
  eachRow(s.borders, (row, _start, t) => {
    const own = Math.floor(t / block);
    for (let kv = 0; kv < s.hkv; kv++) {
      const chosen = new Set([0, own]);
      for (let i = 1; chosen.size < Math.min(n, own + 1); i++)
        chosen.add((i * 7919 + (row >> 3) * 31 + kv) % (own + 1));
      idx.set(
        [...chosen].sort((a, b) => a - b),
        (row * s.hkv + kv) * n,
      );
    }
  });
  return idx;
}

/** Lists that no selection makes: not in order, −1 in between, blocks after the query and far out of range, rows without any. */
function anyBlocks(s: Sizes, block: number, n: number): Int32Array {
  const idx = selection(s, block, n);
  eachRow(s.borders, (row, _start, t) => {
    for (let kv = 0; kv < s.hkv; kv++) {
      const list = idx.subarray((row * s.hkv + kv) * n, (row * s.hkv + kv + 1) * n);
      if ((row + kv) % 3 === 0) list.reverse();
      if (row % 5 === 1) list[(row >> 2) % n] = -1;
      if (row % 4 === 2) list[row % n] = Math.floor(t / block) + 1 + (row % 3);
      if (row % 9 === 4) list[(row + 1) % n] = 2 ** 31 - 1;
      if (row % 7 === 3) list.fill(-1);
    }
  });
  return idx;
}

function selected(
  name: string,
  s: Sizes,
  block: number,
  n: number,
  { perfOnly = false, choose = selection } = {},
): OpCase[] {
  const idx = choose(s, block, n);
  const starts: number[] = [];
  eachRow(s.borders, (row, start) => {
    starts[row] = start;
  });
  const keysOf = (row: number, kv: number) =>
    [...idx.subarray((row * s.hkv + kv) * n, (row * s.hkv + kv + 1) * n)]
      .filter((b) => b >= 0)
      .flatMap((b) => Array.from({ length: block }, (_, i) => starts[row]! + b * block + i))
      .filter((key) => key <= row);
  let keys = 0;
  eachRow(s.borders, (_row, _start, t) => {
    keys += Math.min(n * block, t + 1);
  });
  const fields = { idx: given(idx, "i32"), cu_seqlens: given(s.borders, "i32") };
  const numbers = {
    n_docs: s.borders.length - 1,
    tokens: s.borders.at(-1)!,
    selection_block_size: block,
    num_selected: n,
  };
  return both("nsa_selected", name, s, perfOnly, keysOf, keys, fields, numbers);
}

/** In bf16 also by the kernels of GPUs without `wgmma`. */
const onBothKernels = (cases: OpCase[]): OpCase[] =>
  cases.flatMap((c) => [
    c,
    { ...c, name: `${c.name}, portable`, dtypes: ["bf16"], env: { NSA_FLASH: "portable" } },
  ]);

const ragged = [0, 1, 1, 38, 102];
/** Heads a KV head, KV heads, head dim, keys of a block, blocks of a query: every way a tile of neighbouring queries is filled. */
const selectedAnyBlocks = onBothKernels(
  [
    [1, 2, 64, 16, 4],
    [2, 1, 64, 8, 5],
    [3, 1, 128, 24, 3],
    [4, 2, 64, 32, 2],
    [8, 1, 128, 48, 2],
    [16, 1, 128, 64, 2],
    [16, 1, 64, 128, 2],
    [16, 1, 64, 64, 2],
    [32, 1, 64, 32, 2],
    [48, 1, 64, 8, 3],
    [64, 1, 64, 32, 2],
  ].flatMap(([group, hkv, dim, block, n]) =>
    selected(
      `${group} heads a group of ${dim}, blocks of ${block}, any blocks`,
      { borders: ragged, hq: group! * hkv!, hkv: hkv!, dimK: dim!, dimV: dim! },
      block!,
      n!,
      { choose: anyBlocks },
    ),
  ),
);

const docs = [0, 37, 37, 38, 70];

export const selectedCases: OpCase[] = [
  ...selected("three documents", { borders: docs, hq: 6, hkv: 2, dimK: 24, dimV: 16 }, 8, 3),
  ...selected("odd dims", { borders: docs, hq: 3, hkv: 1, dimK: 13, dimV: 7 }, 4, 5),
  ...selected("heads of 192 and 128", { borders: docs, hq: 2, hkv: 1, dimK: 192, dimV: 128 }, 16, 3, {
    choose: anyBlocks,
  }),
  ...onBothKernels(
    selected("18 heads a group", { borders: [0, 150], hq: 18, hkv: 1, dimK: 72, dimV: 128 }, 16, 4),
  ),
  ...selected("2k, 16 q / 1 kv", { borders: [0, 2048], hq: 16, hkv: 1, dimK: 64, dimV: 64 }, 64, 16, {
    perfOnly: true,
  }),
  ...selectedAnyBlocks,
];
