// One HTTP request for a file or a range of it: identity encoding, redirects, a limit on silence; the body as it comes.
import { request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { NsaError } from "@nsa/core";

export interface RemoteOptions {
  /** Attempts in a row without a byte of progress before a transfer is given up. */
  retries: number;
  /** Milliseconds without a byte after which a transfer counts as cut. */
  idleMs: number;
  signal?: AbortSignal;
  /** Waits between attempts; replaced in tests. */
  sleep?: (ms: number) => Promise<void>;
}

const MAX_REDIRECTS = 5;

/** What another attempt may mend: the network, and answers that say so. */
export class Retry extends Error {
  constructor(
    why: string,
    /** Milliseconds that the server asks for. */
    readonly afterMs?: number,
  ) {
    super(why);
  }
}

/** A failure that no attempt mends. */
export function remoteError(url: string, why: string, exitCode: 3 | 4 = 3): NsaError {
  return new NsaError({
    code: "input_remote",
    what: `cannot fetch ${url}`,
    why,
    fix:
      exitCode === 4
        ? "check the network, then run the same command again: it resumes where it was"
        : "check the address, and `fetch.base` for the files of lists and indexes",
    exitCode,
  });
}

function send(url: URL, headers: Record<string, string>, options: RemoteOptions): Promise<IncomingMessage> {
  const start = url.protocol === "https:" ? httpsRequest : httpRequest;
  return new Promise((resolve, reject) => {
    const sent = start(
      url,
      { headers: { "accept-encoding": "identity", "user-agent": "nsa", ...headers }, signal: options.signal },
      resolve,
    );
    sent.setTimeout(options.idleMs, () => sent.destroy(new Retry(`no byte in ${options.idleMs / 1000} s`)));
    sent.on("error", (error) => reject(options.signal?.aborted ? error : new Retry(error.message)));
    sent.end();
  });
}

/** Milliseconds of a Retry-After header: seconds or a date. */
function retryAfter(header: string | undefined, now: number): number | undefined {
  if (header === undefined) return undefined;
  const ms = /^\d+$/.test(header) ? 1000 * Number(header) : Date.parse(header) - now;
  return Number.isFinite(ms) ? Math.max(0, ms) : undefined;
}

/**
 * The answer to a GET with these headers: 200, 206 or 416. Throws Retry for what may pass (429, 5xx, the network), NsaError
 * `input_remote` for what will not.
 */
export async function get(
  address: string,
  headers: Record<string, string>,
  options: RemoteOptions,
): Promise<IncomingMessage> {
  let url = new URL(address);
  for (let hops = 0; ; hops++) {
    const reply = await send(url, headers, options);
    const status = reply.statusCode ?? 0;
    if (status === 200 || status === 206 || status === 416) return reply;
    reply.resume();
    const { location } = reply.headers;
    if ([301, 302, 303, 307, 308].includes(status) && location !== undefined) {
      const next = new URL(location, url);
      if (hops === MAX_REDIRECTS) throw remoteError(address, `more than ${MAX_REDIRECTS} redirects`);
      if (!/^https?:$/.test(next.protocol) || (url.protocol === "https:" && next.protocol === "http:"))
        throw remoteError(address, `it redirects to ${next.href}`);
      url = next;
      continue;
    }
    const why = `the server answers ${status} ${reply.statusMessage ?? ""}`.trim();
    if (status === 408 || status === 425 || status === 429 || status >= 500)
      throw new Retry(why, retryAfter(reply.headers["retry-after"], Date.now()));
    throw remoteError(address, why);
  }
}

/** Bytes of a body; a cut one ends in Retry. */
export async function* bodyOf(
  reply: IncomingMessage,
  { idleMs, signal }: RemoteOptions,
): AsyncGenerator<Buffer> {
  reply.setTimeout(idleMs, () => reply.destroy(new Retry(`no byte in ${idleMs / 1000} s`)));
  try {
    for await (const part of reply) yield part as Buffer;
  } catch (error) {
    signal?.throwIfAborted();
    throw error instanceof Retry ? error : new Retry(`the body was cut: ${(error as Error).message}`);
  }
  if (!reply.complete) throw new Retry("the body was cut");
}

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 60_000;
const LONGEST_ASKED_WAIT_MS = 600_000;

/**
 * Repeats `attempt` until it returns, waiting twice as long each time. `progress` is a count that only grows: attempts after which
 * it is larger are not counted. Throws NsaError `input_remote` (exit 4) when the retries are used up.
 */
export async function withRetries<T>(
  url: string,
  options: RemoteOptions,
  attempt: () => Promise<T>,
  progress: () => number = () => 0,
): Promise<T> {
  const sleep = options.sleep ?? ((ms) => new Promise((done) => setTimeout(done, ms)));
  let failures = 0;
  for (;;) {
    const before = progress();
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof Retry)) throw error;
      failures = progress() > before ? 1 : failures + 1;
      if (failures > options.retries)
        throw remoteError(url, `${error.message}, and ${options.retries} more attempts failed`, 4);
      const wait = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (failures - 1));
      await sleep(error.afterMs === undefined ? wait : Math.min(error.afterMs, LONGEST_ASKED_WAIT_MS));
      options.signal?.throwIfAborted();
    }
  }
}
