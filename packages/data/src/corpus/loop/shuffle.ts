// Lines in random order without holding them: written as they come, then copied by offset in shuffled order.
import { closeSync, openSync, rmSync } from "node:fs";
import { readAt, writeFully } from "@nsa/core";
import { ByteColumn } from "./column.ts";

const FLUSH = 1 << 20;

/** Deterministic shuffle of [0, n) (Fisher–Yates over a 32-bit LCG). */
export function shuffledIndices(n: number, seed: number): Uint32Array {
  const order = Uint32Array.from({ length: n }, (_, i) => i);
  let s = (seed ^ 0x9e3779b9) >>> 0;
  for (let i = n - 1; i > 0; i--) {
    s = (Math.imul(s, 1664525) + 1013904223) >>> 0;
    const j = Math.floor((s / 4294967296) * (i + 1));
    const t = order[i]!;
    order[i] = order[j]!;
    order[j] = t;
  }
  return order;
}

export class ShuffledLines {
  private fd: number;
  /** Offset f64 of each line; the next one's is its end. */
  private offsets = new ByteColumn();
  private parts: Buffer[] = [];
  private held = 0;
  private written = 0;
  count = 0;

  constructor(private scratch: string) {
    this.fd = openSync(scratch, "w+");
  }

  add(line: string): void {
    const bytes = Buffer.from(`${line}\n`);
    this.mark();
    this.parts.push(bytes);
    this.held += bytes.length;
    this.written += bytes.length;
    this.count++;
    if (this.held > FLUSH) this.flush();
  }

  /** Writes all lines to `path` in an order that the seed decides, and removes the scratch file. */
  writeShuffled(path: string, seed: number): void {
    this.flush();
    this.mark();
    const offsets = this.offsets.view();
    const out = openSync(path, "w");
    let parts: Buffer[] = [];
    let held = 0;
    for (const i of shuffledIndices(this.count, seed)) {
      const from = offsets.readDoubleLE(8 * i);
      const line = Buffer.allocUnsafe(offsets.readDoubleLE(8 * i + 8) - from);
      readAt(this.fd, line, from, this.scratch);
      parts.push(line);
      held += line.length;
      if (held < FLUSH) continue;
      writeAll(out, parts);
      parts = [];
      held = 0;
    }
    writeAll(out, parts);
    closeSync(out);
    closeSync(this.fd);
    rmSync(this.scratch);
  }

  private mark(): void {
    const { bytes, at } = this.offsets.extend(8);
    bytes.writeDoubleLE(this.written, at);
  }

  private flush(): void {
    writeAll(this.fd, this.parts);
    this.parts = [];
    this.held = 0;
  }
}

function writeAll(fd: number, parts: Buffer[]): void {
  const bytes = Buffer.concat(parts);
  writeFully(fd, bytes);
}
