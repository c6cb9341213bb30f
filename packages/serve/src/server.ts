// The HTTP server: routes, one abort signal per request, and a drain that loses nothing.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { chatCompletions } from "./chat-completions.ts";
import { completions } from "./completions.ts";
import { ApiError, readJson, sendError, sendJson } from "./http.ts";
import { Scheduler, type SchedulerOptions } from "./scheduler.ts";
import type { Service } from "./service.ts";
import type { ServingSession } from "./session.ts";

export interface ServerOptions extends SchedulerOptions {
  /** Largest body, bytes. */
  bodyLimit: number;
  /** Outputs that may wait; more requests get 429. */
  maxWaiting: number;
}

export interface RunningServer {
  server: Server;
  /** Refuses new requests, waits for those that run, closes. */
  drain(): Promise<void>;
}

type Handler = (service: Service, body: unknown, res: ServerResponse, signal: AbortSignal) => Promise<void>;

const POST: Record<string, Handler> = {
  "/v1/completions": completions,
  "/v1/chat/completions": chatCompletions,
};

/** The client that has gone gets no answer: aborting frees its places in the engine. */
class Gone extends Error {}

export function makeServer(session: ServingSession, options: ServerOptions): RunningServer {
  const scheduler = new Scheduler(session, options);
  const created = Math.floor(Date.now() / 1000);
  const service: Service = { session, scheduler, created, scoreTokens: options.prefillTokens };
  let draining = false;
  let underWay = 0;
  let onQuiet = () => {};

  const health = (res: ServerResponse) =>
    sendJson(res, draining ? 503 : 200, {
      status: draining ? "draining" : "ok",
      model: session.name,
      running: scheduler.running,
      waiting: scheduler.waiting,
    });
  const model = () => ({
    id: session.name,
    object: "model",
    created,
    owned_by: "nsa",
    max_model_len: session.model.config.maxSeqLen,
  });

  function get(path: string, res: ServerResponse): void {
    if (path === "/health") health(res);
    else if (path === "/v1/models") sendJson(res, 200, { object: "list", data: [model()] });
    else if (path === `/v1/models/${session.name}`) sendJson(res, 200, model());
    else throw new ApiError(404, `there is no ${path}`, { code: "not_found" });
  }

  async function post(handler: Handler, req: IncomingMessage, res: ServerResponse): Promise<void> {
    if (draining) throw new ApiError(503, "the server is shutting down", { code: "draining" });
    const controller = new AbortController();
    underWay++;
    // Closed is when the last byte is out, or the client has gone.
    res.on("close", () => {
      if (!res.writableFinished) controller.abort(new Gone());
      if (--underWay === 0) onQuiet();
    });
    const body = await readJson(req, options.bodyLimit);
    if (scheduler.waiting >= options.maxWaiting)
      throw new ApiError(429, `${scheduler.waiting} outputs wait already`, { code: "overloaded" });
    await handler(service, body, res, controller.signal);
  }

  async function route(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const path = decodeURIComponent(new URL(req.url ?? "/", "http://x").pathname);
    const handler = POST[path];
    if (handler && req.method === "POST") return post(handler, req, res);
    if (handler || req.method !== "GET") {
      const allowed = handler ? "POST" : "GET";
      res.setHeader("allow", allowed);
      throw new ApiError(405, `${req.method} ${path} is not allowed`, { code: "method_not_allowed" });
    }
    get(path, res);
  }

  const server = createServer((req, res) => {
    // A socket that closes while it is written to is no error of ours.
    res.on("error", () => {});
    route(req, res).catch((error: unknown) => {
      if (error instanceof Gone || res.destroyed) return;
      sendError(res, error instanceof URIError ? new ApiError(400, error.message) : error);
      req.resume();
    });
  });
  return {
    server,
    async drain() {
      draining = true;
      if (underWay > 0) {
        await new Promise<void>((resolve) => {
          onQuiet = resolve;
        });
      }
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeIdleConnections();
        // Answers are written; a connection that a client keeps open must not keep the process.
        setTimeout(() => server.closeAllConnections(), 1000).unref();
      });
      scheduler[Symbol.dispose]();
    },
  };
}
