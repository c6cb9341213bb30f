// TensorBoard event files: TFRecord framing (length, masked crc32c) around hand-packed Event protobufs.
import { closeSync, existsSync, fstatSync, openSync, readdirSync, readSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { withWriteErrors, writeFully } from "../atomic.ts";
import type { MetricSink, Metrics } from "./sink.ts";

const crcTable = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0x82f63b78 : c >>> 1;
  return c >>> 0;
});

/** CRC-32C (Castagnoli). */
export function crc32c(bytes: Uint8Array): number {
  let c = 0xffffffff;
  for (const byte of bytes) c = crcTable[(c ^ byte) & 0xff]! ^ (c >>> 8);
  return (c ^ 0xffffffff) >>> 0;
}

function maskedCrc(bytes: Uint8Array): number {
  const crc = crc32c(bytes);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

function varint(value: number): number[] {
  const out: number[] = [];
  let rest = value;
  while (rest >= 0x80) {
    out.push((rest % 0x80) | 0x80);
    rest = Math.floor(rest / 0x80);
  }
  out.push(rest);
  return out;
}

function lengthDelimited(field: number, bytes: Uint8Array): Buffer {
  return Buffer.concat([Uint8Array.from([(field << 3) | 2, ...varint(bytes.length)]), bytes]);
}

function fixed(field: number, value: number, width: 4 | 8): Buffer {
  const out = Buffer.alloc(1 + width);
  out[0] = (field << 3) | (width === 8 ? 1 : 5);
  if (width === 8) out.writeDoubleLE(value, 1);
  else out.writeFloatLE(value, 1);
  return out;
}

/** Event {1: wall_time, 2: step, 5: Summary {1: Value {1: tag, 2: simple_value}}}. */
function scalarEvent(step: number, metrics: Metrics, time: number): Buffer {
  const values = Object.entries(metrics).map(([tag, value]) =>
    lengthDelimited(1, Buffer.concat([lengthDelimited(1, Buffer.from(tag)), fixed(2, value, 4)])),
  );
  return Buffer.concat([
    fixed(1, time, 8),
    Uint8Array.from([2 << 3, ...varint(step)]),
    lengthDelimited(5, Buffer.concat(values)),
  ]);
}

function record(payload: Buffer): Buffer {
  const head = Buffer.alloc(12);
  head.writeUInt32LE(payload.length, 0);
  head.writeUInt32LE(maskedCrc(head.subarray(0, 8)), 8);
  const tail = Buffer.alloc(4);
  tail.writeUInt32LE(maskedCrc(payload), 0);
  return Buffer.concat([head, payload, tail]);
}

/** Bytes of an Event up to the end of its step: wall_time, a tag, and a varint of at most 10 bytes. */
const STEP_BYTES = 9 + 1 + 10;

/** The step of an Event as written here: field 2 follows the nine bytes of wall_time; absent means 0. */
function eventStep(payload: Uint8Array): number {
  if (payload[9] !== 2 << 3) return 0;
  let step = 0;
  for (let i = 10, scale = 1; i < Math.min(payload.length, STEP_BYTES); i++, scale *= 0x80) {
    step += (payload[i]! & 0x7f) * scale;
    if (payload[i]! < 0x80) return step;
  }
  // No varint ends there: the record is not one of ours, and belongs to no step that could be cut.
  return Number.POSITIVE_INFINITY;
}

/** Writes scalars to `events.out.tfevents.*` in a run folder; a resumed run continues the same file. */
export class TensorBoardSink implements MetricSink {
  readonly path: string;
  readonly #time: number;
  #fd: number | null = null;

  constructor(dir: string, time: number) {
    const old = existsSync(dir)
      ? readdirSync(dir).find((name) => name.startsWith("events.out.tfevents."))
      : undefined;
    this.path = join(dir, old ?? `events.out.tfevents.${Math.floor(time)}.nsa`);
    this.#time = time;
    if (old === undefined) this.#begin();
  }

  /** The first record of a file: its version. */
  #begin(): void {
    const version = lengthDelimited(3, Buffer.from("brain.Event:2"));
    this.#append(Buffer.concat([fixed(1, this.#time, 8), version]));
  }

  #append(payload: Buffer): void {
    withWriteErrors(this.path, () => {
      this.#fd ??= openSync(this.path, "a");
      writeFully(this.#fd, record(payload));
    });
  }

  write(step: number, metrics: Metrics, time: number): void {
    this.#append(scalarEvent(step, metrics, time));
  }

  rewind(step: number): void {
    this.close();
    const fd = openSync(this.path, "r");
    const { size } = fstatSync(fd);
    const head = Buffer.alloc(12 + STEP_BYTES);
    let keep = 0;
    while (keep + 16 <= size) {
      head.fill(0);
      readSync(fd, head, 0, head.length, keep);
      const end = keep + 16 + head.readUInt32LE(0);
      // The first record is the file's version and belongs to no step.
      if (end > size || (keep > 0 && eventStep(head.subarray(12)) > step)) break;
      keep = end;
    }
    closeSync(fd);
    truncateSync(this.path, keep);
    // Killed before the first record was whole.
    if (keep === 0) this.#begin();
  }

  close(): void {
    if (this.#fd === null) return;
    closeSync(this.#fd);
    this.#fd = null;
  }
}
