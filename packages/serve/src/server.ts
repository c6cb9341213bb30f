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
  const running = new ModelServer(session, options);
  return { server: running.server, drain: () => running.drain() };
}

class ModelServer {
  readonly server: Server;
  private readonly scheduler: Scheduler;
  private readonly service: Service;
  private draining = false;
  private underWay = 0;
  private onQuiet = () => {};

  constructor(
    private readonly session: ServingSession,
    private readonly options: ServerOptions,
  ) {
    this.scheduler = new Scheduler(session, options);
    this.service = {
      session,
      scheduler: this.scheduler,
      created: Math.floor(Date.now() / 1000),
      scoreTokens: options.prefillTokens,
    };
    this.server = createServer((req, res) => {
      // A socket that closes while it is written to is no error of ours.
      res.on("error", () => {});
      this.route(req, res).catch((error: unknown) => {
        if (error instanceof Gone || res.destroyed) return;
        sendError(res, error instanceof URIError ? new ApiError(400, error.message) : error);
        req.resume();
      });
    });
  }

  async drain(): Promise<void> {
    this.draining = true;
    if (this.underWay > 0) {
      await new Promise<void>((resolve) => {
        this.onQuiet = resolve;
      });
    }
    await new Promise<void>((resolve) => {
      this.server.close(() => resolve());
      this.server.closeIdleConnections();
      // Answers are written; a connection that a client keeps open must not keep the process.
      setTimeout(() => this.server.closeAllConnections(), 1000).unref();
    });
    this.scheduler[Symbol.dispose]();
  }

  private async route(req: IncomingMessage, res: ServerResponse): Promise<void> {
    // A base address that ends in a slash gives two.
    const path = decodeURIComponent((req.url ?? "/").replace(/[?#].*$/s, "").replace(/\/{2,}/g, "/"));
    const handler = POST[path];
    if (handler && req.method === "POST") return this.post(handler, req, res);
    const read = this.reads(path);
    // Clients that try a path that is not served look for 404.
    if (!handler && !read) throw new ApiError(404, `there is no ${path}`, { code: "not_found" });
    if (!read || req.method !== "GET") {
      res.setHeader("allow", handler ? "POST" : "GET");
      throw new ApiError(405, `${req.method} ${path} is not allowed`, { code: "method_not_allowed" });
    }
    read(res);
  }

  /** What answers a GET of the path. */
  private reads(path: string): ((res: ServerResponse) => void) | undefined {
    if (path === "/health") return (res) => this.health(res);
    if (path === "/v1/models") return (res) => sendJson(res, 200, { object: "list", data: [this.model()] });
    if (path === `/v1/models/${this.session.name}`) return (res) => sendJson(res, 200, this.model());
    return undefined;
  }

  private async post(handler: Handler, req: IncomingMessage, res: ServerResponse): Promise<void> {
    const { scheduler, options } = this;
    if (this.draining) throw new ApiError(503, "the server is shutting down", { code: "draining" });
    const controller = new AbortController();
    this.underWay++;
    // Closed is when the last byte is out, or the client has gone.
    res.on("close", () => {
      if (!res.writableFinished) controller.abort(new Gone());
      if (--this.underWay === 0) this.onQuiet();
    });
    const body = await readJson(req, options.bodyLimit);
    if (scheduler.waiting >= options.maxWaiting)
      throw new ApiError(429, `${scheduler.waiting} outputs wait already`, { code: "overloaded" });
    await handler(this.service, body, res, controller.signal);
  }

  private health(res: ServerResponse): void {
    sendJson(res, this.draining ? 503 : 200, {
      status: this.draining ? "draining" : "ok",
      model: this.session.name,
      running: this.scheduler.running,
      waiting: this.scheduler.waiting,
    });
  }

  private model() {
    return {
      id: this.session.name,
      object: "model",
      created: this.service.created,
      owned_by: "nsa",
      max_model_len: this.session.model.config.maxSeqLen,
    };
  }
}
