// The records that an index file names, put behind one another into one archive file: each is a gzip member, so that together
// they are an archive again. Taken up where it was left; the order is the index's, however many requests run at once.
import {
  closeSync,
  existsSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
} from "node:fs";
import { dirname } from "node:path";
import { atomicWriteFile, NsaError, withWriteErrors, writeFully } from "@nsa/core";
import { z } from "zod";
import { type IndexedRecord, readIndex } from "./cdx.ts";
import { fetchRange } from "./download.ts";
import { isAddress } from "./places.ts";
import type { RemoteOptions } from "./request.ts";

const stateSchema = z.strictObject({ records: z.number().int().min(0), bytes: z.number().int().min(0) });
type State = z.infer<typeof stateSchema>;

/** Records between two states on disk: at most so many are fetched twice after a kill. */
const RECORDS_A_STATE = 100;

function stateOf(path: string): State {
  if (!existsSync(path)) return { records: 0, bytes: 0 };
  try {
    return stateSchema.parse(JSON.parse(readFileSync(path, "utf8")));
  } catch {
    return { records: 0, bytes: 0 };
  }
}

/** A file to be written on behind its first `bytes`. */
function openAt(path: string, bytes: number): number {
  const fd = withWriteErrors(path, () => openSync(path, "a"));
  ftruncateSync(fd, bytes);
  return fd;
}

function localRange(path: string, from: number, length: number): Buffer {
  const fail = (why: string) =>
    new NsaError({
      code: "index_range",
      what: `cannot read bytes ${from} to ${from + length - 1} of ${path}`,
      why,
      fix: "take the index and the archives of one crawl; `fetch.base` says where the archives lie",
      exitCode: 3,
    });
  if (!existsSync(path)) throw fail("the file is not there");
  const bytes = Buffer.alloc(length);
  const fd = openSync(path, "r");
  try {
    for (let at = 0; at < length; ) {
      const n = readSync(fd, bytes, at, length - at, from + at);
      if (n === 0) throw fail("the file ends before them");
      at += n;
    }
  } finally {
    closeSync(fd);
  }
  return bytes;
}

/** Whether bytes begin as a gzip member does: a wrong offset shows at once. */
const isMember = (bytes: Buffer): boolean => bytes[0] === 0x1f && bytes[1] === 0x8b;

export interface IndexJob {
  /** The index file. */
  index: string;
  /** The archive that is made. */
  path: string;
  /** Where the file of a record lies: a path or an address. */
  placeOf(file: string): string;
  /** Requests at once. */
  connections: number;
  onRecord?: (bytes: number) => void;
}

async function fetchRecord(
  job: IndexJob,
  { file, offset, length }: IndexedRecord,
  options: RemoteOptions,
): Promise<Buffer> {
  const place = job.placeOf(file);
  const bytes = isAddress(place)
    ? await fetchRange(place, offset, length, options)
    : localRange(place, offset, length);
  if (isMember(bytes)) return bytes;
  throw new NsaError({
    code: "index_range",
    what: `bytes ${offset} to ${offset + length - 1} of ${place}`,
    why: "no gzip member begins there",
    fix: "take the index and the archives of one crawl",
    exitCode: 3,
  });
}

/** Makes the archive of an index file's records, if it is not there. Throws NsaError `index_bad`, `index_range`, `input_remote`. */
export async function fetchIndexed(job: IndexJob, options: RemoteOptions): Promise<void> {
  if (existsSync(job.path)) return;
  mkdirSync(dirname(job.path), { recursive: true });
  const [part, statePath] = [`${job.path}.part`, `${job.path}.part.json`];
  const state = existsSync(part) ? stateOf(statePath) : { records: 0, bytes: 0 };
  const fd = openAt(part, state.bytes);
  const save = () => {
    fsyncSync(fd);
    atomicWriteFile(statePath, JSON.stringify(state));
  };
  try {
    const done = state.records;
    const waiting: Promise<Buffer>[] = [];
    const settle = async () => {
      const bytes = await waiting.shift()!;
      withWriteErrors(part, () => writeFully(fd, bytes));
      state.records++;
      state.bytes += bytes.length;
      job.onRecord?.(bytes.length);
      if (state.records % RECORDS_A_STATE === 0) save();
    };
    let seen = 0;
    for await (const record of readIndex(job.index)) {
      if (seen++ < done) continue;
      const fetched = fetchRecord(job, record, options);
      // One that fails while an earlier one is awaited is thrown when its turn comes.
      fetched.catch(() => undefined);
      waiting.push(fetched);
      if (waiting.length >= job.connections) await settle();
    }
    while (waiting.length > 0) await settle();
    fsyncSync(fd);
  } catch (error) {
    save();
    throw error;
  } finally {
    closeSync(fd);
  }
  renameSync(part, job.path);
  rmSync(statePath, { force: true });
}
