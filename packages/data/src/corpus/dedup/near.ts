// Near duplicates in external memory. Each shard leaves, band by band, a sorted run of (band hash, document); a merge
// over the runs of all shards meets documents that share a band; signatures on disk confirm them. Bands do not depend
// on each other; the pairs of all make clusters. In memory: one block per shard's run, and at the end four bytes a
// document.
import { closeSync, openSync } from "node:fs";
import { readAt } from "@nsa/core";
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
    private path: string,
  ) {
    this.left = count;
  }
  /** Moves to the next element; false at the end. */
  next(): boolean {
    if (this.at === this.filled) {
      const n = Math.min(BLOCK, this.left);
      if (n === 0) return false;
      readAt(this.fd, new Uint8Array(this.block.buffer, 0, n * 8), this.offset, this.path);
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

/** Signatures of all shards on disk, by document number. */
class Signatures {
  private fds: number[];
  private starts = [0];
  constructor(
    private files: BandFile[],
    private hashes: number,
  ) {
    this.fds = files.map((f) => openSync(f.signatures, "r"));
    for (const f of files) this.starts.push(this.starts.at(-1)! + f.documents);
  }
  load(document: number, into: Uint32Array): void {
    let [low, high] = [0, this.fds.length];
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (this.starts[middle]! <= document) low = middle;
      else high = middle;
    }
    const bytes = 4 * this.hashes;
    const from = (document - this.starts[low]!) * bytes;
    readAt(this.fds[low]!, new Uint8Array(into.buffer, 0, bytes), from, this.files[low]!.signatures);
  }
  close(): void {
    for (const fd of this.fds) closeSync(fd);
  }
}

/**
 * Similar documents that share a band, as pairs of document numbers (numbered through all shards), the earlier first.
 * `ignore` holds documents that are dropped already.
 */
export function bandPairs(
  files: BandFile[],
  band: number,
  { hashes, threshold }: NearOptions,
  ignore: Uint8Array,
): Uint32Array {
  const fds = files.map((f) => openSync(f.bands, "r"));
  const signatures = new Signatures(files, hashes);
  const pairs: number[] = [];
  const [a, b] = [new Uint32Array(hashes), new Uint32Array(hashes)];
  const compare = (x: number, y: number) => {
    signatures.load(x, a);
    signatures.load(y, b);
    if (similarity(a, b) >= threshold) pairs.push(x, y);
  };
  try {
    let base = 0;
    const runs = files.map((f, s) => {
      const run = new RunReader(fds[s]!, band * f.documents * 8, f.documents, base, f.bands);
      base += f.documents;
      return run;
    });
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
  } finally {
    for (const fd of fds) closeSync(fd);
    signatures.close();
  }
  return Uint32Array.from(pairs);
}

/** Marks with 1 each document that some chain of pairs joins to an earlier one. */
export function clusterMarks(documents: number, bands: Iterable<Uint32Array>): Uint8Array {
  const parent = Int32Array.from({ length: documents }, (_, i) => i);
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
  for (const pairs of bands)
    for (let i = 0; i < pairs.length; i += 2) {
      const [x, y] = [find(pairs[i]!), find(pairs[i + 1]!)];
      parent[Math.max(x, y)] = Math.min(x, y);
    }
  return Uint8Array.from({ length: documents }, (_, d) => (find(d) === d ? 0 : 1));
}

/** Both steps in one: marks of all near duplicates. */
export function nearDuplicates(files: BandFile[], options: NearOptions, ignore: Uint8Array): Uint8Array {
  const bands = Array.from({ length: options.bands }, (_, band) => bandPairs(files, band, options, ignore));
  return clusterMarks(ignore.length, bands);
}
