// The HTTP server: routes, one abort signal per request, and a drain that loses nothing.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { type AccessOptions, checkAccess, checkContentType, corsHeaders } from "./access.ts";
import { chatCompletions } from "./chat-completions.ts";
import { completions } from "./completions.ts";
import { ApiError, readJson, sendError, sendJson } from "./http.ts";
import { ServerMetrics } from "./metrics.ts";
import { watchReader } from "./reader-watch.ts";
import { Scheduler, type SchedulerOptions } from "./scheduler.ts";
import type { Service } from "./service.ts";
import type { ServingSession } from "./session.ts";

export interface ServerOptions extends SchedulerOptions, AccessOptions {
  /** Largest body, bytes. */
  bodyLimit: number;
  /** Outputs that may wait; more requests get 429. */
  maxWaiting: number;
  /** Seconds in which a body must have come; 30 where it is not given. */
  bodySeconds?: number;
  /** Seconds in which a client must take some of what is written to it; 30 where it is not given. */
  readSeconds?: number;
  /** Seconds that requests under way may take after `drain`; 30 where it is not given. */
  drainSeconds?: number;
}

export interface RunningServer {
  server: Server;
  /** Refuses new requests, waits for those that run as long as `drainSeconds`, closes. */
  drain(): Promise<void>;
}

type Handler = (service: Service, body: unknown, res: ServerResponse, signal: AbortSignal) => Promise<void>;

const POST: Record<string, Handler> = {
  "/v1/completions": completions,
  "/v1/chat/completions": chatCompletions,
};

const LIMIT_SECONDS = 30;

/** Paths by which requests are counted; all others are one. */
const ROUTES = new Set([...Object.keys(POST), "/health", "/metrics", "/v1/models", "/v1/models/{model}"]);

/** A client that has disconnected gets no answer: aborting frees its places in the engine. */
class ClientDisconnected extends Error {}

export function makeServer(session: ServingSession, options: ServerOptions): RunningServer {
  const running = new ModelServer(session, options);
  return { server: running.server, drain: () => running.drain() };
}

class ModelServer {
  readonly server: Server;
  private readonly scheduler: Scheduler;
  private readonly service: Service;
  private readonly metrics = new ServerMetrics();
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
      metrics: this.metrics,
    };
    // A body that does not come is answered with 408 and its connection closed.
    const requestTimeout = 1000 * (options.bodySeconds ?? LIMIT_SECONDS);
    const times = { requestTimeout, headersTimeout: requestTimeout, connectionsCheckingInterval: 500 };
    this.server = createServer(times, (req, res) => {
      this.observe(req, res);
      // A socket that closes while it is written to is no error of ours.
      res.on("error", () => {});
      this.route(req, res).catch((error: unknown) => {
        if (error instanceof ClientDisconnected || res.destroyed) return;
        sendError(res, error instanceof URIError ? new ApiError(400, error.message) : error);
        req.resume();
      });
    });
  }

  async drain(): Promise<void> {
    this.draining = true;
    const { drainSeconds = LIMIT_SECONDS } = this.options;
    if (this.underWay > 0) {
      await new Promise<void>((resolve) => {
        this.onQuiet = resolve;
        setTimeout(resolve, 1000 * drainSeconds).unref();
      });
    }
    // Whoever still sends a body or reads an answer has had its time.
    if (this.underWay > 0) this.server.closeAllConnections();
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
    for (const [name, value] of Object.entries(corsHeaders(req, this.options))) res.setHeader(name, value);
    // The preflight request of a browser.
    if (req.method === "OPTIONS" && req.headers["access-control-request-method"]) {
      checkAccess(req, "/health", this.options);
      res.writeHead(204).end();
      return;
    }
    checkAccess(req, path, this.options);
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
    if (path === "/metrics") return (res) => this.sendMetrics(res);
    if (path === "/v1/models") return (res) => sendJson(res, 200, { object: "list", data: [this.model()] });
    if (path === `/v1/models/${this.session.name}`) return (res) => sendJson(res, 200, this.model());
    return undefined;
  }

  private async post(handler: Handler, req: IncomingMessage, res: ServerResponse): Promise<void> {
    const { scheduler, options } = this;
    checkContentType(req);
    if (this.draining) throw new ApiError(503, "the server is shutting down", { code: "draining" });
    const controller = new AbortController();
    this.underWay++;
    // Closed is when the last byte is out, or the client has gone.
    res.on("close", () => {
      if (!res.writableFinished) controller.abort(new ClientDisconnected());
      if (--this.underWay === 0) this.onQuiet();
    });
    watchReader(res, options.readSeconds ?? LIMIT_SECONDS);
    const body = await readJson(req, options.bodyLimit);
    if (scheduler.waiting >= options.maxWaiting)
      throw new ApiError(429, `${scheduler.waiting} outputs wait already`, { code: "overloaded" });
    await handler(this.service, body, res, controller.signal);
  }

  /** Counts the request when it ends. */
  private observe(req: IncomingMessage, res: ServerResponse): void {
    const from = performance.now();
    res.on("close", () => {
      const path = (req.url ?? "").split("?")[0]!;
      const route = path.startsWith("/v1/models/") ? "/v1/models/{model}" : path;
      const label = ROUTES.has(route) ? route : "other";
      if (!res.writableFinished) this.metrics.abandoned++;
      else this.metrics.ended(label, res.statusCode, (performance.now() - from) / 1000);
    });
  }

  private sendMetrics(res: ServerResponse): void {
    res.writeHead(200, { "content-type": "text/plain; version=0.0.4; charset=utf-8" });
    res.end(this.metrics.render(this.scheduler));
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
