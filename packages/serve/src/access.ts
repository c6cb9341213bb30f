// Whose requests are served: with a key, those that carry it; without one, those of callers that name this machine by its address, and
// of no page of another origin.
//
// A page in a browser can reach a server on loopback. It is recognized by what browsers send and pages cannot change: `Origin` (and
// `Sec-Fetch-Site`), and, where the page's own name has been made to lead here (DNS rebinding), by a `Host` that is a name. JSON bodies
// must have the content type of JSON, which a page of another origin cannot send without a preflight request, and that is refused.
import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { isIP } from "node:net";
import { ApiError } from "./http.ts";

export interface AccessOptions {
  /** Bearer of `Authorization` that every request but those to /health must have. */
  apiKey?: string;
  /** Origins of pages whose requests are served, e.g. `http://localhost:3000`. */
  allowOrigins?: readonly string[];
  /** Names by which callers may reach the server besides `localhost`. */
  hosts?: readonly string[];
}

const digest = (text: string) => createHash("sha256").update(text).digest();

function hasKey(req: IncomingMessage, key: string): boolean {
  const given = /^Bearer +(\S+) *$/i.exec(req.headers.authorization ?? "")?.[1] ?? "";
  return timingSafeEqual(digest(given), digest(key));
}

/** The name in a Host header, in lower case and without port and brackets; undefined where it is none. */
function hostName(host: string | undefined): string | undefined {
  const match = /^(\[[0-9a-f:.]+\]|[^\s:@/?#[\]]+)(?::\d+)?$/i.exec(host ?? "");
  return match?.[1]
    ?.replace(/^\[|\]$/g, "")
    .replace(/\.$/, "")
    .toLowerCase();
}

function checkHost(req: IncomingMessage, hosts: readonly string[]): void {
  const name = hostName(req.headers.host);
  const known = name !== undefined && (isIP(name) > 0 || name === "localhost" || name.endsWith(".localhost"));
  if (known || (name !== undefined && hosts.includes(name))) return;
  throw new ApiError(
    403,
    `the Host ${req.headers.host ?? "(none)"} is a name by which a page could have been led here: use an address, set an API key, or start the server with --allow-host ${name ?? "<name>"}`,
    { code: "host_not_allowed" },
  );
}

function checkOrigin(req: IncomingMessage, allowed: readonly string[]): void {
  const { origin, host } = req.headers;
  const site = req.headers["sec-fetch-site"];
  if (origin !== undefined) {
    if (origin === `http://${host}` || origin === `https://${host}` || allowed.includes(origin)) return;
  } else if (site === undefined || site === "same-origin" || site === "none") return;
  throw new ApiError(403, `requests of pages of ${origin ?? "another origin"} are not served here`, {
    code: "origin_not_allowed",
  });
}

/** Throws ApiError 401 or 403. A key opens the server to callers by any name; to pages of an allowed origin alone. */
export function checkAccess(req: IncomingMessage, path: string, options: AccessOptions): void {
  const { apiKey, allowOrigins = [], hosts = [] } = options;
  checkOrigin(req, allowOrigins);
  if (apiKey === undefined) checkHost(req, hosts);
  else if (path !== "/health" && !hasKey(req, apiKey))
    throw new ApiError(401, "the API key is missing or wrong", { code: "invalid_api_key" });
}

/** Headers that let pages of an allowed origin read answers. */
export function corsHeaders(
  req: IncomingMessage,
  { allowOrigins = [] }: AccessOptions,
): Record<string, string> {
  const { origin } = req.headers;
  if (origin === undefined || !allowOrigins.includes(origin)) return {};
  return {
    "access-control-allow-origin": origin,
    "access-control-allow-headers": "authorization, content-type",
    "access-control-allow-methods": "GET, POST",
    vary: "origin",
  };
}

/** Throws ApiError 415 for a body that does not say that it is JSON. */
export function checkContentType(req: IncomingMessage): void {
  const type = (req.headers["content-type"] ?? "").split(";")[0]!.trim().toLowerCase();
  if (type === "application/json" || /^application\/[\w.-]+\+json$/.test(type)) return;
  throw new ApiError(
    415,
    `the content type must be application/json, and is ${type === "" ? "not given" : type}`,
    {
      code: "unsupported_media_type",
    },
  );
}
