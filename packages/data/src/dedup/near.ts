// Near duplicates in external memory. Each shard leaves, band by band, a sorted run of (band hash, document); a merge
// over the runs of all shards meets documents that share a band; signatures on disk confirm them. In memory: one
// block per shard's run and four bytes a document (the clusters).
import { closeSync, openSync, readSync } from "node:fs";
import { similarity } from "./minhash.ts";

export interface BandFile {
  /** u64 elements: hash in the high, document in the low 32 bits; `documents` of them a band, sorted. */
  bands: string;
  /** u32 signatures, `hashes` a document. */
  signatures: string;
  documents: number;
}

export interface NearOptions {
  bands: number;
  hashes: number;
  /** Estimated similarity from which two documents are duplicates. */
  threshold: number;
}

const BLOCK = 4096;

/** Sorted run of one band for documents' band hashes. */
export function bandRun(hashes: ArrayLike<number>): BigUint64Array {
  const run = new BigUint64Array(hashes.length);
  const halves = new Uint32Array(run.buffer);
  for (let d = 0; d < hashes.length; d++) {
    halves[2 * d] = d;
    halves[2 * d + 1] = hashes[d]!;
  }
  return run.sort();
}

class RunReader {
  private block = new Uint32Array(2 * BLOCK);
  private filled = 0;
  private at = 0;
  private left: number;
  hash = 0;
  document = 0;
  constructor(
    private fd: number,
    private offset: number,
    count: number,
    private base: number,
  ) {
    this.left = count;
  }
  /** Moves to the next element; false at the end. */
  next(): boolean {
    if (this.at === this.filled) {
      const n = Math.min(BLOCK, this.left);
      if (n === 0) return false;
      readSync(this.fd, new Uint8Array(this.block.buffer), 0, n * 8, this.offset);
      this.offset += n * 8;
      this.left -= n;
      this.filled = n;
      this.at = 0;
    }
    this.document = this.base + this.block[2 * this.at]!;
    this.hash = this.block[2 * this.at + 1]!;
    this.at++;
    return true;
  }
}

/** Elements of all runs by (hash, document). */
function* merge(runs: RunReader[]): Generator<RunReader> {
  const heap = runs.filter((r) => r.next());
  const less = (a: RunReader, b: RunReader) =>
    a.hash < b.hash || (a.hash === b.hash && a.document < b.document);
  const sift = (start: number) => {
    let i = start;
    for (;;) {
      const left = 2 * i + 1;
      if (left >= heap.length) return;
      const child = left + 1 < heap.length && less(heap[left + 1]!, heap[left]!) ? left + 1 : left;
      if (!less(heap[child]!, heap[i]!)) return;
      const t = heap[i]!;
      heap[i] = heap[child]!;
      heap[child] = t;
      i = child;
    }
  };
  for (let i = heap.length >> 1; i >= 0; i--) sift(i);
  while (heap.length > 0) {
    yield heap[0]!;
    if (!heap[0]!.next()) {
      const last = heap.pop()!;
      if (heap.length === 0) return;
      heap[0] = last;
    }
    sift(0);
  }
}

/**
 * Marks near duplicates: 1 for each document (numbered through all shards) that is similar to an earlier one of its
 * cluster. `ignore` holds documents that are dropped already.
 */
export function nearDuplicates(files: BandFile[], options: NearOptions, ignore: Uint8Array): Uint8Array {
  const starts = [0];
  for (const f of files) starts.push(starts.at(-1)! + f.documents);
  const total = starts.at(-1)!;
  const parent = Int32Array.from({ length: total }, (_, i) => i);
  const find = (d: number): number => {
    let root = d;
    while (parent[root] !== root) root = parent[root]!;
    for (let x = d; parent[x] !== root; ) {
      const next = parent[x]!;
      parent[x] = root;
      x = next;
    }
    return root;
  };
  const bandFds = files.map((f) => openSync(f.bands, "r"));
  const signatureFds = files.map((f) => openSync(f.signatures, "r"));
  const load = (d: number, into: Uint32Array) => {
    let s = 0;
    while (starts[s + 1]! <= d) s++;
    readSync(
      signatureFds[s]!,
      new Uint8Array(into.buffer),
      0,
      into.byteLength,
      (d - starts[s]!) * into.byteLength,
    );
  };
  const a = new Uint32Array(options.hashes);
  const b = new Uint32Array(options.hashes);
  const compare = (x: number, y: number) => {
    const rx = find(x);
    const ry = find(y);
    if (rx === ry) return;
    load(x, a);
    load(y, b);
    if (similarity(a, b) < options.threshold) return;
    parent[Math.max(rx, ry)] = Math.min(rx, ry);
  };
  try {
    for (let band = 0; band < options.bands; band++) {
      const runs = files.map(
        (f, s) => new RunReader(bandFds[s]!, band * f.documents * 8, f.documents, starts[s]!),
      );
      let hash = -1;
      let first = -1;
      let previous = -1;
      for (const { hash: h, document } of merge(runs)) {
        if (ignore[document] === 1) continue;
        if (h !== hash) {
          hash = h;
          first = document;
        } else {
          compare(first, document);
          if (previous !== first) compare(previous, document);
        }
        previous = document;
      }
    }
  } finally {
    for (const fd of [...bandFds, ...signatureFds]) closeSync(fd);
  }
  const out = new Uint8Array(total);
  for (let d = 0; d < total; d++) if (ignore[d] === 0 && find(d) !== d) out[d] = 1;
  return out;
}
