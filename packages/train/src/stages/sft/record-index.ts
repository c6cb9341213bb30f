// Where the records of JSONL files lie: what a run with very many examples holds in memory, 16 bytes a record and nothing else.
//
// Files are scanned for line ends once; a record is read and parsed when it is asked for. Compressed files are decompressed into `dir`
// first, as a stream.
import { closeSync, createReadStream, mkdirSync, openSync, readSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";
import { createGunzip } from "node:zlib";
import { NsaError, readAt, withWriteErrors, writeFully } from "@nsa/core";

const CHUNK = 1 << 22;

export interface IndexedFile {
  /** As the recipe names it. */
  path: string;
  /** Number of its source. */
  source: number;
}

/** A list of numbers that grows without holding more than twice what it needs. */
class Growing {
  private values = new Float64Array(1024);
  length = 0;

  push(value: number): void {
    if (this.length === this.values.length) {
      const more = new Float64Array(2 * this.length);
      more.set(this.values);
      this.values = more;
    }
    this.values[this.length++] = value;
  }

  finish(): Float64Array {
    return this.values.slice(0, this.length);
  }
}

/** Scans the lines of a file; `onLine` gets where each begins and how long it is, blank ones too. False ends the scan. */
function scanLines(fd: number, onLine: (from: number, bytes: number) => boolean): void {
  const buffer = Buffer.alloc(CHUNK);
  let [at, start] = [0, 0];
  for (;;) {
    const read = readSync(fd, buffer, 0, CHUNK, at);
    if (read === 0) break;
    for (let i = buffer.indexOf(10); i >= 0 && i < read; i = buffer.indexOf(10, i + 1)) {
      if (!onLine(start, at + i - start)) return;
      start = at + i + 1;
    }
    at += read;
  }
  if (at > start) onLine(start, at - start);
}

export class RecordIndex {
  private constructor(
    private readonly files: readonly (IndexedFile & { fd: number })[],
    /** Where each record begins, its length is up to the next border; files follow one another. */
    private readonly starts: Float64Array,
    private readonly lengths: Float64Array,
    /** Number of the first record of each file, and the number of all. */
    private readonly firsts: readonly number[],
  ) {}

  /** `limits`: most records of each source. Throws NsaError `disk_full`, and what opening a file throws. */
  static async open(
    files: readonly IndexedFile[],
    limits: readonly number[],
    dir: string,
  ): Promise<RecordIndex> {
    const [starts, lengths] = [new Growing(), new Growing()];
    const opened: (IndexedFile & { fd: number })[] = [];
    const firsts: number[] = [];
    const taken = limits.map(() => 0);
    for (const [n, file] of files.entries()) {
      const fd = openSync(file.path.endsWith(".gz") ? await decompressed(file.path, dir, n) : file.path, "r");
      opened.push({ ...file, fd });
      firsts.push(starts.length);
      scanLines(fd, (from, bytes) => {
        if (taken[file.source]! >= limits[file.source]!) return false;
        if (bytes < 2) return true;
        starts.push(from);
        lengths.push(bytes);
        taken[file.source]!++;
        return true;
      });
    }
    firsts.push(starts.length);
    return new RecordIndex(opened, starts.finish(), lengths.finish(), firsts);
  }

  get count(): number {
    return this.starts.length;
  }

  /** The text of a record, its source, and its place as `file, record n`. */
  read(index: number): { text: string; source: number; place: string } {
    const file = this.fileOf(index);
    const { fd, path, source } = this.files[file]!;
    const buffer = Buffer.alloc(this.lengths[index]!);
    readAt(fd, buffer, this.starts[index]!, path);
    const place = `${path}, record ${index - this.firsts[file]! + 1}`;
    return { text: buffer.toString("utf8"), source, place };
  }

  sourceOf(index: number): number {
    return this.files[this.fileOf(index)]!.source;
  }

  private fileOf(index: number): number {
    return this.firsts.findLastIndex((first) => first <= index && first < this.count);
  }

  close(): void {
    for (const { fd } of this.files) closeSync(fd);
  }
}

/** Writes a stream to a file, which is named when it is whole. Throws NsaError `disk_full` (exit 3). */
async function writeStream(stream: AsyncIterable<Uint8Array>, target: string): Promise<void> {
  const path = `${target}.partial`;
  const fd = withWriteErrors(path, () => openSync(path, "w"));
  try {
    for await (const chunk of stream) withWriteErrors(path, () => writeFully(fd, chunk));
  } finally {
    closeSync(fd);
  }
  renameSync(path, target);
}

/** A compressed file's content as a file in `dir`; one that is there from an earlier start is taken. */
async function decompressed(path: string, dir: string, n: number): Promise<string> {
  mkdirSync(dir, { recursive: true });
  const { size, mtimeMs } = statSync(path);
  const target = join(dir, `${n}-${size}-${Math.floor(mtimeMs)}.jsonl`);
  if (statSync(target, { throwIfNoEntry: false })) return target;
  try {
    const [packed, plain] = [createReadStream(path), createGunzip()];
    packed.on("error", (error) => plain.destroy(error));
    await writeStream(packed.pipe(plain), target);
    return target;
  } catch (error) {
    if (!(error as NodeJS.ErrnoException).code?.startsWith("Z_")) throw error;
    throw new NsaError({
      code: "data_not_json",
      what: path,
      why: `it is no whole gzip file: ${(error as Error).message}`,
      fix: "fetch the file again",
      exitCode: 3,
      cause: error,
    });
  }
}
