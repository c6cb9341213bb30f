// A file fetched over HTTP, taken up where it was left: by the process that was killed, or by a connection that was cut.
//
// PATH.part holds what has come, PATH.part.json whose bytes these are (address, ETag, date). A range is asked for only with
// If-Range, so that a file that changed meanwhile comes whole. Without a validator nothing is taken up.

import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
} from "node:fs";
import type { IncomingMessage } from "node:http";
import { dirname } from "node:path";
import { atomicWriteFile, fsyncPath, withWriteErrors, writeFully, writeWhole } from "@nsa/core";
import { z } from "zod";
import { bodyOf, get, type RemoteOptions, Retry, remoteError, withRetries } from "./request.ts";

const partSchema = z.strictObject({ url: z.string(), validator: z.string() });

/** A strong ETag, or the date of the last change: what If-Range takes. */
function validatorOf(reply: IncomingMessage): string {
  const { etag, "last-modified": modified } = reply.headers;
  return etag !== undefined && !etag.startsWith("W/") ? etag : (modified ?? "");
}

class Download {
  private readonly part: string;
  private readonly state: string;
  /** Bytes that have come in all, for retries to see progress. */
  came = 0;

  constructor(
    private readonly url: string,
    private readonly path: string,
    private readonly options: RemoteOptions,
  ) {
    this.part = `${path}.part`;
    this.state = `${path}.part.json`;
  }

  /** The validator of what is there, and its bytes; nothing that cannot be taken up. */
  private held(): { bytes: number; validator: string } {
    const nothing = { bytes: 0, validator: "" };
    if (!existsSync(this.part) || !existsSync(this.state)) return nothing;
    try {
      const { url, validator } = partSchema.parse(JSON.parse(readFileSync(this.state, "utf8")));
      return url === this.url && validator !== "" ? { bytes: statSync(this.part).size, validator } : nothing;
    } catch {
      return nothing;
    }
  }

  private begin(validator: string): void {
    atomicWriteFile(this.state, JSON.stringify({ url: this.url, validator }));
    writeWhole(this.part, new Uint8Array(0));
  }

  async attempt(): Promise<void> {
    const held = this.held();
    const headers: Record<string, string> =
      held.bytes > 0 ? { range: `bytes=${held.bytes}-`, "if-range": held.validator } : {};
    const reply = await get(this.url, headers, this.options);
    const encoding = reply.headers["content-encoding"];
    if (
      encoding !== undefined &&
      encoding !== "identity" &&
      !/\.(?:gz|zst|br)$/.test(new URL(this.url).pathname)
    ) {
      reply.destroy();
      throw remoteError(this.url, `it comes encoded as ${encoding}, which was not asked for`);
    }
    const total = reply.statusCode === 200 ? this.whole(reply) : this.rest(reply, held);
    await this.append(reply, total);
  }

  /** A whole file comes: what was there goes. */
  private whole(reply: IncomingMessage): number | undefined {
    this.begin(validatorOf(reply));
    const length = reply.headers["content-length"];
    return length === undefined ? undefined : Number(length);
  }

  /** The rest comes, if it fits what is there; else all begins again. */
  private rest(reply: IncomingMessage, held: { bytes: number; validator: string }): number {
    const range = /^bytes (?:(\d+)-(\d+)|\*)\/(\d+)$/.exec(reply.headers["content-range"] ?? "");
    const total = Number(range?.[3]);
    // All of it had come before the process ended.
    const complete = reply.statusCode === 416 && total === held.bytes;
    const validator = validatorOf(reply);
    const fits =
      complete ||
      (reply.statusCode === 206 &&
        Number(range?.[1]) === held.bytes &&
        (validator === "" || validator === held.validator));
    if (fits && held.bytes > 0) return total;
    reply.destroy();
    rmSync(this.state, { force: true });
    throw new Retry("the server's range does not continue what is there");
  }

  private async append(reply: IncomingMessage, total: number | undefined): Promise<void> {
    if (reply.statusCode === 416) {
      reply.resume();
      return;
    }
    const path = this.part;
    const fd = withWriteErrors(path, () => openSync(path, "a"));
    try {
      for await (const bytes of bodyOf(reply, this.options)) {
        this.came += bytes.length;
        withWriteErrors(path, () => writeFully(fd, bytes));
      }
    } finally {
      closeSync(fd);
    }
    const { size } = statSync(path);
    if (total !== undefined && size !== total) {
      if (size > total) truncateSync(path, 0);
      throw new Retry(`${size} of ${total} bytes came`);
    }
  }

  finish(): void {
    fsyncPath(this.part);
    renameSync(this.part, this.path);
    rmSync(this.state, { force: true });
  }
}

/**
 * Fetches a file to `path`, whole or not at all; one that is there already stays. Throws NsaError `input_remote`: exit 3 where the
 * server refuses, exit 4 where the retries are used up.
 */
export async function download(url: string, path: string, options: RemoteOptions): Promise<void> {
  if (existsSync(path)) return;
  mkdirSync(dirname(path), { recursive: true });
  const transfer = new Download(url, path, options);
  await withRetries(
    url,
    options,
    () => transfer.attempt(),
    () => transfer.came,
  );
  transfer.finish();
}

/** Bytes `from` to `from + length − 1` of a file. A server that sends another range, or less, counts as cut. */
export async function fetchRange(
  url: string,
  from: number,
  length: number,
  options: RemoteOptions,
): Promise<Buffer> {
  return withRetries(url, options, async () => {
    const last = from + length - 1;
    const reply = await get(url, { range: `bytes=${from}-${last}` }, options);
    if (reply.statusCode !== 206) {
      reply.destroy();
      const why = reply.statusCode === 416 ? "ends before them" : "does not serve ranges";
      throw remoteError(url, `bytes ${from} to ${last} are wanted, but it ${why}`);
    }
    if (!(reply.headers["content-range"] ?? "").startsWith(`bytes ${from}-${last}/`)) {
      reply.destroy();
      throw new Retry(`another range came: ${reply.headers["content-range"]}`);
    }
    const parts: Buffer[] = [];
    for await (const part of bodyOf(reply, options)) parts.push(part);
    const bytes = Buffer.concat(parts);
    if (bytes.length !== length) throw new Retry(`${bytes.length} of ${length} bytes came`);
    return bytes;
  });
}
