// Grammars of weights as safetensors and of models of fastText.
import type { Draw } from "../inputs.ts";
import { or, text } from "./values.ts";

export function safetensors(d: Draw): Buffer {
  let at = 0;
  const entries = d.many(4, () => {
    const dtype = d.pick(["F32", "F16", "BF16", "I64", "U8", "BOOL", "F8_E4M3", "Q4"]);
    const shape = d.many(3, () => d.pick([0, 1, 2, 3, 2 ** 40, -1]));
    const bytes = d.pick([0, 4, 8, 24, 2 ** 33]);
    const entry = { dtype: or(d, dtype), shape: or(d, shape), data_offsets: or(d, [at, at + bytes]) };
    at += Math.min(bytes, 64);
    return [text(d), or(d, entry)] as const;
  });
  const header = Buffer.from(
    JSON.stringify(
      or(d, {
        ...Object.fromEntries(entries),
        ...(d.chance(0.3) ? { __metadata__: or(d, { format: "pt" }) } : {}),
      }),
    ),
  );
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(d.chance(0.1) ? 2n ** BigInt(d.below(64)) : BigInt(header.length));
  return Buffer.concat([length, header, Buffer.alloc(at)]);
}

export function fastText(d: Draw): Buffer {
  const ints = [793712314, 12, ...[4, 2, 1, 1, 5, 1, 3, 3, 8, 0, 0, 100], ...[2, 1, 1]].map((n) =>
    d.chance(0.05) ? d.pick([-1, 0, 2 ** 31 - 1, -(2 ** 31)]) : n,
  );
  const head = Buffer.alloc(4 * 14 + 8 + 12 + 16);
  let p = 0;
  for (const n of ints.slice(0, 14)) p = head.writeInt32LE(n, p);
  p = head.writeDoubleLE(1e-4, p);
  for (const n of ints.slice(14)) p = head.writeInt32LE(n, p);
  p = head.writeBigInt64LE(d.chance(0.1) ? -5n : 9n, p);
  head.writeBigInt64LE(-1n, p);
  const word = (w: string, label: number) =>
    Buffer.concat([Buffer.from(`${w}\0`), Buffer.from([3, 0, 0, 0, 0, 0, 0, 0, label])]);
  const matrix = (rows: bigint, columns: bigint, floats: number) => {
    const m = Buffer.alloc(17);
    m.writeBigInt64LE(rows, 1);
    m.writeBigInt64LE(columns, 9);
    return Buffer.concat([m, Buffer.alloc(4 * floats)]);
  };
  const rows = d.chance(0.1) ? 2n ** BigInt(d.below(62)) : 9n;
  return Buffer.concat([head, word("a", 0), word("__label__x", 1), matrix(rows, 4n, 36), matrix(1n, 4n, 4)]);
}
