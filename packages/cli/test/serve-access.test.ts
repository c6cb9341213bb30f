// Who may ask `nsa serve`, and what clients that send or read slowly can do to it: nothing.
import { rmSync } from "node:fs";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { makeServer, openServingSession, type ServingSession } from "@nsa/serve";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { nsa } from "./built.ts";
import { startServer, tinyRun } from "./serving.ts";

let run: { dir: string; checkpoint: string };
let session: ServingSession;
beforeAll(async () => {
  run = tinyRun();
  session = await openServingSession(run.checkpoint, { device: "cpu", name: "tiny" });
}, 120_000);
afterAll(() => {
  session?.[Symbol.dispose]();
  rmSync(run.dir, { recursive: true, force: true });
});

type Options = Partial<Parameters<typeof makeServer>[1]>;
const limits = { maxSequences: 8, cacheTokens: 4096, prefillTokens: 512, bodyLimit: 1 << 20, maxWaiting: 64 };

/** A server in this process, closed when the test ends. */
async function opened(options: Options, body: (port: number) => Promise<void>): Promise<void> {
  const { server, drain } = makeServer(session, { ...limits, drainSeconds: 1, ...options });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  try {
    await body((server.address() as AddressInfo).port);
  } finally {
    await drain();
  }
}

interface Answer {
  status: number;
  headers: IncomingMessage["headers"];
  text: string;
}

/** A request with exactly these headers; fetch would not let one set them all. */
function ask(
  port: number,
  method: string,
  path: string,
  headers: Record<string, string>,
  body?: string,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const req = httpRequest({ port, host: "127.0.0.1", method, path, headers }, (res) => {
      let text = "";
      res.on("data", (part) => {
        text += part;
      });
      res.on("end", () => resolve({ status: res.statusCode!, headers: res.headers, text }));
    });
    req.on("error", reject);
    req.end(body);
  });
}
const json = { "content-type": "application/json" };
const prompt = JSON.stringify({ prompt: "The", max_tokens: 2 });
const complete = (port: number, headers: Record<string, string>, body = prompt) =>
  ask(port, "POST", "/v1/completions", headers, body);
const codeOf = ({ text }: Answer) => (JSON.parse(text) as { error: { code: string } }).error.code;

test("a_page_of_another_origin_gets_nothing_and_callers_by_address_everything", () =>
  opened({}, async (port) => {
    const here = `127.0.0.1:${port}`;
    const cases: [Record<string, string>, number][] = [
      [{ ...json, host: here }, 200],
      [{ ...json, host: `localhost:${port}` }, 200],
      [{ ...json, host: `[::1]:${port}` }, 200],
      [{ ...json, host: here, origin: `http://${here}` }, 200],
      [{ ...json, host: here, "sec-fetch-site": "same-origin" }, 200],
      // Rebound names, and what looks like an address.
      [{ ...json, host: `evil.example:${port}` }, 403],
      [{ ...json, host: `127.0.0.1.evil.example:${port}` }, 403],
      [{ ...json, host: "localhost.evil.example" }, 403],
      [{ ...json, host: `evil.example@127.0.0.1:${port}` }, 403],
      [{ ...json, host: here, origin: "https://evil.example" }, 403],
      [{ ...json, host: here, origin: "null" }, 403],
      [{ ...json, host: here, origin: `http://127.0.0.1:${port + 1}` }, 403],
      [{ ...json, host: here, origin: `http://${here}.evil.example` }, 403],
      [{ ...json, host: here, "sec-fetch-site": "cross-site" }, 403],
      // Forms and beacons can be sent by any page without being asked.
      [{ host: here, "content-type": "text/plain" }, 415],
      [{ host: here, "content-type": "application/x-www-form-urlencoded" }, 415],
      [{ host: here, "content-type": "multipart/form-data; boundary=x" }, 415],
      [{ host: here }, 415],
      [{ host: here, "content-type": "application/json; charset=utf-8" }, 200],
    ];
    for (const [headers, status] of cases) {
      const answer = await complete(port, headers);
      expect(answer.status, JSON.stringify(headers)).toBe(status);
      expect(answer.headers["access-control-allow-origin"]).toBeUndefined();
    }
    const preflight = { host: here, origin: "https://evil.example", "access-control-request-method": "POST" };
    expect((await ask(port, "OPTIONS", "/v1/completions", preflight)).status).toBe(403);
    expect((await ask(port, "GET", "/metrics", { host: "evil.example" })).status).toBe(403);
  }));

test("a_name_that_is_allowed_leads_here_without_a_key", () =>
  opened({ hosts: ["models.example"] }, async (port) => {
    expect((await complete(port, { ...json, host: `models.example:${port}` })).status).toBe(200);
    const other = await complete(port, { ...json, host: "other.example" });
    expect([other.status, other.text]).toEqual([403, expect.stringContaining("--allow-host other.example")]);
    // Whatever paths clients make up, the figures have one row for each of the server's own.
    for (let i = 0; i < 30; i++) await ask(port, "GET", `/v1/models/m${i}`, { host: "127.0.0.1" });
    for (let i = 0; i < 30; i++) await ask(port, "GET", `/x${i}`, { host: "127.0.0.1" });
    const { text } = await ask(port, "GET", "/metrics", { host: "127.0.0.1" });
    const rows = text.split("\n").filter((line) => line.startsWith("nsa_requests_total"));
    expect(rows).toContain('nsa_requests_total{path="/v1/models/{model}",status="404"} 30');
    expect(rows).toContain('nsa_requests_total{path="other",status="404"} 30');
    expect(rows).toHaveLength(4);
  }));

test("a_page_of_an_allowed_origin_may_ask_and_read", () =>
  opened({ allowOrigins: ["http://app.example:3000"] }, async (port) => {
    const origin = "http://app.example:3000";
    const preflight = await ask(port, "OPTIONS", "/v1/completions", {
      origin,
      "access-control-request-method": "POST",
    });
    expect([preflight.status, preflight.headers["access-control-allow-origin"]]).toEqual([204, origin]);
    expect(preflight.headers["access-control-allow-headers"]).toContain("authorization");
    const answer = await complete(port, { ...json, origin });
    expect([answer.status, answer.headers["access-control-allow-origin"]]).toEqual([200, origin]);
    expect((await complete(port, { ...json, origin: "http://app.example" })).status).toBe(403);
  }));

test("with_a_key_everything_but_health_wants_it_and_any_name_leads_here", () =>
  opened({ apiKey: "s3cret-key" }, async (port) => {
    const host = "models.example";
    for (const [authorization, status] of [
      [undefined, 401],
      ["Bearer wrong", 401],
      ["Bearer s3cret-key2", 401],
      ["Bearer ", 401],
      ["Basic s3cret-key", 401],
      ["Bearer s3cret-key", 200],
      ["bearer  s3cret-key", 200],
    ] as const) {
      const headers = { ...json, host, ...(authorization ? { authorization } : {}) };
      const answer = await complete(port, headers);
      expect(answer.status, authorization).toBe(status);
      if (status === 401)
        expect([codeOf(answer), answer.headers["www-authenticate"]]).toEqual(["invalid_api_key", "Bearer"]);
      expect((await ask(port, "GET", "/v1/models", headers)).status).toBe(status);
      expect((await ask(port, "GET", "/metrics", headers)).status).toBe(status);
      expect((await ask(port, "GET", "/health", headers)).status).toBe(200);
    }
    // The key does not help a page of another origin.
    const page = { ...json, authorization: "Bearer s3cret-key", origin: "https://evil.example" };
    expect((await complete(port, page)).status).toBe(403);
  }));

test("an_address_that_others_reach_needs_a_key_unless_it_is_said", () => {
  const serve = (flags: string[], env: Record<string, string> = {}) =>
    nsa(["serve", run.checkpoint, "--port", "99999", ...flags], { env });
  // What is refused for its port has passed the question of the key.
  const open = ["--host", "0.0.0.0"];
  const here = ["serve", run.checkpoint, "--port", "0", ...open];
  const bare = nsa(here, { env: { NSA_API_KEY: "" } });
  expect([bare.status, bare.stderr]).toEqual([
    2,
    expect.stringMatching(/everybody who reaches.*\n.*--without-key/),
  ]);
  expect(serve(open).stderr).toMatch(/ports go up/);
  const bad = nsa(here, { env: { NSA_API_KEY: "two words" } });
  expect([bad.status, bad.stderr]).toEqual([2, expect.stringMatching(/API key/)]);
}, 60_000);

test("the_key_comes_from_the_environment_too", async () => {
  const own = await startServer(run.checkpoint, ["--api-key", "k1"]);
  const ask = (key: string) => fetch(`${own.url}/models`, { headers: { authorization: `Bearer ${key}` } });
  expect([(await ask("k1")).status, (await ask("k2")).status]).toEqual([200, 401]);
  own.child.kill("SIGKILL");
}, 60_000);

test(
  "a_body_that_does_not_come_is_given_up",
  () =>
    opened({ bodySeconds: 1 }, async (port) => {
      for (const sent of [
        'POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"pro',
        "POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-T",
      ]) {
        const socket = connect(port, "127.0.0.1");
        let text = "";
        socket.on("data", (part) => {
          text += part;
        });
        socket.write(sent);
        await new Promise<void>((closed) => socket.on("close", closed));
        expect(text === "" || text.startsWith("HTTP/1.1 408")).toBe(true);
      }
      expect((await ask(port, "GET", "/health", {})).status).toBe(200);
    }),
  60_000,
);

const running = async (port: number) =>
  JSON.parse((await ask(port, "GET", "/health", {})).text) as { running: number; waiting: number };

test(
  "a_client_that_reads_nothing_is_given_up_and_its_places_are_free",
  () =>
    opened({ readSeconds: 1, maxSequences: 64, cacheTokens: 16_384 }, async (port) => {
      const body = JSON.stringify({
        prompt: Array(12).fill("The cat"),
        max_tokens: 60,
        n: 120,
        stream: true,
        logprobs: 20,
      });
      const socket = connect(port, "127.0.0.1");
      socket.on("error", () => undefined);
      socket.pause();
      const head = `POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`;
      socket.write(head + body);
      await vi.waitUntil(async () => (await running(port)).running > 0, { timeout: 20_000 });
      await vi.waitUntil(
        async () => {
          const { running: now, waiting } = await running(port);
          return now + waiting === 0;
        },
        { timeout: 40_000 },
      );
      const { text } = await ask(port, "GET", "/metrics", {});
      expect(text.split("\n")).toContain("nsa_abandoned_total 1");
      socket.destroy();
    }),
  90_000,
);

test("sigterm_ends_within_the_drain_limit_whatever_clients_do", async () => {
  const own = await startServer(run.checkpoint, ["--drain-seconds", "2"]);
  const { port } = new URL(own.url);
  const half = connect(Number(port), "127.0.0.1");
  half.on("error", () => undefined);
  half.write(
    'POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"pro',
  );
  const body = JSON.stringify({ prompt: ["The"], max_tokens: 60, n: 120, stream: true, logprobs: 20 });
  const deaf = connect(Number(port), "127.0.0.1");
  deaf.on("error", () => undefined);
  deaf.pause();
  deaf.write(
    `POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  );
  await vi.waitUntil(async () => (await running(Number(port))).running > 0, { timeout: 20_000 });
  own.child.kill("SIGTERM");
  expect(await own.exited).toBe(0);
}, 60_000);

test(
  "prompts_that_cannot_fit_are_refused_before_they_are_encoded",
  () =>
    opened({ bodyLimit: 16 << 20 }, async (port) => {
      const encode = vi.spyOn(session.tokenizer, "encode");
      const long = "a ".repeat(2_000_000);
      const chat = JSON.stringify({ messages: [{ role: "user", content: long }] });
      for (const [path, body] of [
        ["/v1/completions", JSON.stringify({ prompt: long })],
        ["/v1/completions", JSON.stringify({ prompt: ["The", long] })],
        ["/v1/chat/completions", chat],
        [
          "/v1/chat/completions",
          JSON.stringify({ messages: Array(5000).fill({ role: "user", content: "a" }) }),
        ],
        [
          "/v1/completions",
          JSON.stringify({ prompt: Array.from({ length: 5000 }, () => "The"), max_tokens: 0, echo: true }),
        ],
      ] as const) {
        const answer = await ask(port, "POST", path, json, body);
        expect([answer.status, encode.mock.calls.length], path).toEqual([400, 0]);
      }
      encode.mockRestore();
    }),
  60_000,
);

test("a_long_prompt_is_encoded_beside_the_serving_thread_to_the_same_ids", () =>
  opened({}, async (port) => {
    const long = "The cat. ".repeat(2000);
    const own = session.tokenizer.encode(long);
    const encode = vi.spyOn(session.tokenizer, "encode");
    expect(await session.encode(long)).toEqual(own);
    expect(encode).not.toHaveBeenCalled();
    // Both endpoints ask the session.
    const asked = vi.spyOn(session, "encode");
    await complete(port, json);
    await ask(
      port,
      "POST",
      "/v1/chat/completions",
      json,
      '{"messages":[{"role":"user","content":"a"}],"max_tokens":1}',
    );
    expect(asked.mock.calls).toEqual([["The"], [expect.stringContaining("user")]]);
    asked.mockRestore();
    encode.mockRestore();
  }));

test("metrics_count_requests_tokens_and_errors_in_the_form_of_prometheus", () =>
  opened({}, async (port) => {
    const answer = await complete(
      port,
      json,
      JSON.stringify({ prompt: "The cat", max_tokens: 3, n: 2, stop: null }),
    );
    const { usage } = JSON.parse(answer.text) as {
      usage: { prompt_tokens: number; completion_tokens: number };
    };
    await complete(port, json, "{");
    const { text, headers } = await ask(port, "GET", "/metrics", {});
    expect(headers["content-type"]).toBe("text/plain; version=0.0.4; charset=utf-8");
    for (const line of [
      'nsa_requests_total{path="/v1/completions",status="200"} 1',
      'nsa_requests_total{path="/v1/completions",status="400"} 1',
      "nsa_errors_total 0",
      `nsa_prompt_tokens_total ${usage.prompt_tokens}`,
      `nsa_generated_tokens_total ${usage.completion_tokens}`,
      "nsa_outputs_running 0",
      "nsa_outputs_waiting 0",
      'nsa_request_seconds_bucket{le="+Inf"} 2',
      "nsa_request_seconds_count 2",
    ])
      expect(text.split("\n")).toContain(line);
    // Each line is a comment, or a name with a value.
    for (const line of text.trim().split("\n"))
      expect(line).toMatch(/^(# (HELP|TYPE) nsa_\w+ .+|nsa_\w+(\{\w+="[^"]*"(,\w+="[^"]*")*\})? [\d.e+]+)$/);
  }));

test(
  "nothing_that_a_client_sends_is_an_error_of_the_server",
  () =>
    opened({ bodyLimit: 1 << 16 }, async (port) => {
      const bodies = [
        ...[
          "",
          "null",
          "[]",
          "1",
          '"x"',
          "{}",
          '{"prompt":null}',
          '{"prompt":[]}',
          '{"prompt":[[]]}',
          '{"prompt":""}',
        ],
        `{"prompt":"\\ud800","max_tokens":1}`,
        `{"prompt":${"[".repeat(20_000)}${"]".repeat(20_000)}}`,
        `{"prompt":"a","max_tokens":1e308}`,
        `{"prompt":"a","seed":1e19}`,
        `{"prompt":"a","temperature":1e-320,"max_tokens":1}`,
        `{"prompt":"a","top_p":5e-324,"max_tokens":1}`,
        `{"prompt":"a","top_k":1e300,"max_tokens":1}`,
        `{"prompt":"a","stop":["",""],"max_tokens":1}`,
        `{"prompt":[4294967296],"max_tokens":1}`,
        `{"prompt":"a","__proto__":{"n":1},"max_tokens":1}`,
        `{"prompt":"a","constructor":1,"max_tokens":1}`,
        `{"messages":[{"role":"assistant","content":"a"},{"role":"assistant","content":"b"}],"max_tokens":1}`,
        `{"messages":[{"role":"tool","content":"{{ 7*7 }}"}],"max_tokens":1}`,
        `{"messages":[{"role":"user","content":"\\u0000<|im_end|>"}],"max_tokens":1}`,
        `{"messages":[{"role":"user","content":"a","tool_calls":{"a":[1]},"toString":1}],"max_tokens":1}`,
        "x".repeat(1 << 17),
      ];
      for (const path of ["/v1/completions", "/v1/chat/completions"])
        for (const body of bodies) {
          const { status } = await ask(port, "POST", path, json, body);
          expect(status, `${path} ${body.slice(0, 80)}`).toBeLessThan(500);
        }
      for (const path of ["//", "/%00", "/%", "/..", "/v1/models/%2e%2e", `/${"x".repeat(3000)}`, "*", "/?%"])
        expect((await ask(port, "GET", path, {})).status, path).toBeLessThan(500);
      for (const method of ["PUT", "DELETE", "PATCH", "HEAD", "TRACE", "PROPFIND"])
        expect((await ask(port, method, "/v1/completions", {})).status, method).toBeLessThan(500);
    }),
  60_000,
);
