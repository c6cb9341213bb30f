// Frames of the relay between machines: how they are written, and how they are read from a connection that may be anybody's.
import type { Socket } from "node:net";

const KINDS = ["hello", "welcome", "data", "taken", "joined", "alive", "gone", "note"] as const;
export type FrameKind = (typeof KINDS)[number];

export interface Frame {
  kind: FrameKind;
  from: number;
  /** A rank, or {@link ALL}. */
  to: number;
  body: Buffer;
}

/** What a frame says before its body; `kind` is undefined for a number that is none. */
export interface FrameHead {
  kind: FrameKind | undefined;
  from: number;
  to: number;
  /** Bytes of the body. */
  length: number;
}

/** As `to`: all ranks. */
export const ALL = 0xffff;
/** Bytes of the longest body: data come in the pieces in which a pipe is read, 64 KiB. */
export const LONGEST_BODY = 2 ** 20;
/** Kind, from, to and the length of the body: 1, 2, 2 and 4 bytes. */
const HEAD = 9;

export function packFrame({ kind, from, to, body }: Frame): Buffer {
  const head = Buffer.alloc(HEAD);
  head.writeUInt8(KINDS.indexOf(kind), 0);
  head.writeUInt16BE(from, 1);
  head.writeUInt16BE(to, 3);
  head.writeUInt32BE(body.length, 5);
  return Buffer.concat([head, body]);
}

const headOf = (bytes: Buffer): FrameHead => ({
  kind: KINDS[bytes.readUInt8(0)],
  from: bytes.readUInt16BE(1),
  to: bytes.readUInt16BE(3),
  length: bytes.readUInt32BE(5),
});

/** Passes the frames of a connection to `handle`, each once it is complete. A head that `admits` refuses ends the connection before its body is read. */
export function readFrames(
  socket: Socket,
  admits: (head: FrameHead) => boolean,
  handle: (frame: Frame) => void,
): void {
  let held: Buffer[] = [];
  let size = 0;
  let wanted = HEAD;
  socket.on("data", (chunk: Buffer) => {
    held.push(chunk);
    size += chunk.length;
    if (size < wanted) return;
    let all = Buffer.concat(held);
    for (wanted = HEAD; all.length >= HEAD; wanted = HEAD) {
      const { kind, from, to, length } = headOf(all);
      if (kind === undefined || !admits({ kind, from, to, length })) {
        socket.destroy();
        return;
      }
      wanted = HEAD + length;
      if (all.length < wanted) break;
      handle({ kind, from, to, body: all.subarray(HEAD, wanted) });
      if (socket.destroyed) return;
      all = all.subarray(wanted);
    }
    held = [all];
    size = all.length;
  });
}
