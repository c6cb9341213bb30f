// `nsa serve`: an OpenAI-compatible server over a checkpoint.
import type { AddressInfo } from "node:net";
import { ExitCode, NsaError, watchInterruption } from "@nsa/core";
import { makeServer, openServingSession } from "@nsa/serve";

interface ServeOptions {
  host: string;
  port: number;
  device: string;
  template?: string;
  name?: string;
  maxSequences: number;
  cacheTokens: number;
  apiKey?: string;
  withoutKey?: boolean;
  allowOrigin: string[];
  allowHost: string[];
  drainSeconds: number;
}

const BODY_LIMIT = 16 << 20;
const MAX_WAITING = 4096;

function checkPort(port: number): void {
  if (port <= 65_535) return;
  throw new NsaError({
    code: "port_invalid",
    what: `--port ${port}`,
    why: "ports go up to 65535",
    fix: "choose a smaller one; 0 takes any free one",
    exitCode: ExitCode.usage,
  });
}

const LOOPBACK = /^(localhost|::1|127(\.\d+){3})$/;

/** The key that callers must have. Throws NsaError `key_missing` (exit 2) where anybody on the network could ask. */
function keyOf({ host, apiKey, withoutKey }: ServeOptions): string | undefined {
  const key = apiKey ?? (process.env.NSA_API_KEY || undefined);
  if (key !== undefined && !/^[\x21-\x7e]+$/.test(key)) {
    throw new NsaError({
      code: "key_invalid",
      what: "the API key",
      why: "it has blanks or letters that no header can have, or nothing at all",
      fix: "choose one of letters, digits and signs",
      exitCode: ExitCode.usage,
    });
  }
  if (key !== undefined || withoutKey || LOOPBACK.test(host)) return key;
  throw new NsaError({
    code: "key_missing",
    what: `--host ${host}`,
    why: "everybody who reaches this machine could use the server",
    fix: "set a key by NSA_API_KEY or --api-key, or add --without-key where that is meant",
    exitCode: ExitCode.usage,
  });
}

/** Listens until SIGTERM or Ctrl-C, then drains. */
export async function serve(checkpoint: string, o: ServeOptions): Promise<void> {
  checkPort(o.port);
  const apiKey = keyOf(o);
  const session = await openServingSession(checkpoint, o);
  try {
    const { server, drain } = makeServer(session, {
      maxSequences: o.maxSequences,
      cacheTokens: o.cacheTokens,
      prefillTokens: 4096,
      bodyLimit: BODY_LIMIT,
      maxWaiting: MAX_WAITING,
      apiKey,
      allowOrigins: o.allowOrigin,
      hosts: [o.host, ...o.allowHost].map((name) => name.toLowerCase()),
      drainSeconds: o.drainSeconds,
    });
    using interruption = watchInterruption((code) => process.exit(code));
    await new Promise<void>((resolve, reject) => {
      server.once("error", (cause: Error) =>
        reject(
          new NsaError({
            code: "cannot_listen",
            what: `cannot listen on ${o.host}:${o.port}`,
            why: cause.message,
            fix: "choose another --port or --host",
            exitCode: ExitCode.unavailable,
            cause,
          }),
        ),
      );
      server.listen(o.port, o.host, resolve);
    });
    const { port } = server.address() as AddressInfo;
    const host = o.host.includes(":") ? `[${o.host}]` : o.host;
    console.log(`${session.name} at http://${host}:${port}/v1`);
    await new Promise<void>((resolve) => {
      if (interruption.signal.aborted) resolve();
      else interruption.signal.addEventListener("abort", () => resolve(), { once: true });
    });
    console.error("draining");
    await drain();
  } finally {
    session[Symbol.dispose]();
  }
}
