// Bodies in, JSON, errors in OpenAI's form, and server-sent events out.
import type { IncomingMessage, ServerResponse } from "node:http";
import { NsaError } from "@nsa/core";

/** An answer other than 2xx. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly fields: { code?: string; param?: string } = {},
  ) {
    super(message);
  }
}

const TYPES: Record<number, string> = {
  401: "authentication_error",
  403: "permission_error",
  404: "not_found_error",
  429: "rate_limit_error",
  503: "unavailable_error",
};

export function sendJson(res: ServerResponse, status: number, body: unknown): void {
  if (res.headersSent || res.destroyed) return;
  const text = Buffer.from(JSON.stringify(body));
  res.writeHead(status, { "content-type": "application/json; charset=utf-8", "content-length": text.length });
  res.end(text);
}

/** Errors of the engine that are the client's are 400; what is nobody's is 500. */
function asApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  if (error instanceof NsaError && error.exitCode === 2) {
    const code = error.code === "prompt_too_long" ? "context_length_exceeded" : error.code;
    return new ApiError(400, `${error.what}: ${error.why}; ${error.fix}`, { code });
  }
  return new ApiError(500, error instanceof Error ? error.message : String(error));
}

export function sendError(res: ServerResponse, error: unknown): void {
  const { status, message, fields } = asApiError(error);
  const type = TYPES[status] ?? (status < 500 ? "invalid_request_error" : "server_error");
  const body = { error: { message, type, param: fields.param ?? null, code: fields.code ?? null } };
  if (!res.headersSent) {
    if (status === 503) res.setHeader("retry-after", "1");
    if (status === 401) res.setHeader("www-authenticate", "Bearer");
    sendJson(res, status, body);
  } else if (!res.destroyed) {
    res.write(`data: ${JSON.stringify(body)}\n\n`);
    res.end();
  }
}

/** Bodies up to so many times the limit are read to be refused. */
const PATIENCE = 8;

/** Levels of lists and objects in a body: schemas of tools have a dozen, and what walks a body calls itself once a level. */
const MOST_LEVELS = 200;

/** Whether the value holds more than MOST_LEVELS lists and objects inside one another. */
function tooDeep(value: unknown): boolean {
  let level = [value];
  for (let depth = 0; depth <= MOST_LEVELS; depth++) {
    level = level.flatMap((x) => (typeof x === "object" && x !== null ? Object.values(x) : []));
    if (level.length === 0) return false;
  }
  return true;
}

/** The body as an object. Throws ApiError 400 for what is none or is nested too deeply, 413 above `limit` bytes. */
export async function readJson(req: IncomingMessage, limit: number): Promise<unknown> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of req as AsyncIterable<Buffer>) {
    size += part.length;
    // A client hears its refusal only once its body is taken; one that never ends is cut off.
    if (size > PATIENCE * limit) req.destroy();
    if (size <= limit) parts.push(part);
    else parts.length = 0;
  }
  if (size > limit)
    throw new ApiError(413, `the body is larger than ${limit} bytes`, { code: "request_too_large" });
  let body: unknown;
  try {
    body = JSON.parse(Buffer.concat(parts).toString("utf8"));
  } catch (cause) {
    throw new ApiError(400, `the body is not JSON: ${(cause as Error).message}`, { code: "invalid_json" });
  }
  if (tooDeep(body))
    throw new ApiError(400, `the body has more than ${MOST_LEVELS} lists or objects inside one another`, {
      code: "invalid_json",
    });
  return body;
}

/** Server-sent events: `send` an object each, `done` at the end. */
export function openEvents(res: ServerResponse): { send(data: unknown): void; done(): void } {
  res.writeHead(200, {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
    connection: "keep-alive",
  });
  res.flushHeaders();
  return {
    send: (data) => void (res.destroyed || res.write(`data: ${JSON.stringify(data)}\n\n`)),
    done() {
      if (res.destroyed) return;
      res.write("data: [DONE]\n\n");
      res.end();
    },
  };
}
