// Files and ranges over HTTP from a server on this machine that cuts, refuses, forgets and changes.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, expect, test } from "vitest";
import { download, fetchRange } from "../src/corpus/remote/download.ts";
import { answer, asked, type Behave, cut, files, hashOf, serve, web } from "./flaky-server.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-remote-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let waits: number[] = [];
beforeEach(() => {
  waits = [];
});
const options = { retries: 3, idleMs: 20_000, sleep: async (ms: number) => void waits.push(ms) };
const content = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * i + (i >> 8)) % 251));
let paths = 0;
const newPath = () => join(root, `f${paths++}`, "file.bin");

test("a_file_that_is_cut_again_and_again_comes_whole_by_ranges", async () => {
  serve("/a", content);
  web.behave = (request, reply, n, file) => n < 6 && cut(request, reply, file, 40_000);
  const path = newPath();
  await download(`${web.at}/a`, path, { ...options, retries: 1 });
  expect(readFileSync(path).equals(content)).toBe(true);
  expect(asked[0]).toMatchObject({ range: "", ifRange: "" });
  const starts = asked.slice(1).map(({ range }) => Number(/^bytes=(\d+)-$/.exec(range)![1]));
  expect(starts).toEqual([...starts].sort((a, b) => a - b));
  expect(starts.at(-1)).toBeGreaterThan(100_000);
  expect(asked.every(({ ifRange }, i) => i === 0 || ifRange === `"${hashOf(content)}"`)).toBe(true);
  expect(existsSync(`${path}.part`)).toBe(false);
  expect(existsSync(`${path}.part.json`)).toBe(false);
});

test("a_cut_file_without_a_way_to_ask_for_the_rest_begins_again", async () => {
  for (const headers of [{}, { etag: 'W/"weak"' }] as Record<string, string>[]) {
    asked.length = 0;
    serve("/a", content, headers);
    web.behave = (request, reply, n, file) => n < 2 && cut(request, reply, file, 40_000);
    const path = newPath();
    await download(`${web.at}/a`, path, options);
    expect(readFileSync(path).equals(content)).toBe(true);
    expect(asked.map(({ range }) => range)).toEqual(["", "", ""]);
  }
  // A date of the last change is as good as an ETag.
  asked.length = 0;
  serve("/a", content, { etag: 'W/"weak"', "last-modified": "Mon, 01 Jan 2024 00:00:00 GMT" });
  await download(`${web.at}/a`, newPath(), options);
  expect(asked[1]!.ifRange).toBe("Mon, 01 Jan 2024 00:00:00 GMT");
});

test("a_file_that_changes_while_it_comes_is_the_new_one", async () => {
  const changed = Buffer.from(content).reverse();
  for (const honest of [true, false]) {
    asked.length = 0;
    serve("/a", content);
    web.behave = (request, reply, n, file) => {
      if (n === 0) return cut(request, reply, file, 50_000);
      if (n === 1) {
        files.set("/a", { content: changed, headers: { etag: '"new"' } });
        // A server that does not know If-Range sends the rest of the other file.
        if (!honest) delete request.headers["if-range"];
        answer(request, reply, files.get("/a")!);
        return true;
      }
      return false;
    };
    const path = newPath();
    await download(`${web.at}/a`, path, options);
    expect(readFileSync(path).equals(changed), String(honest)).toBe(true);
  }
});

test.each([
  ["a 503", 503, {}, [500, 1000]],
  ["a 503 that says when", 503, { "retry-after": "7" }, [7000, 7000]],
  ["a 429", 429, { "retry-after": "0" }, [0, 0]],
  ["a wait of a day", 503, { "retry-after": "86400" }, [600_000, 600_000]],
  ["a 500", 500, {}, [500, 1000]],
  ["a 408", 408, {}, [500, 1000]],
])("after_%s_it_is_asked_again", async (_, status, headers, expected) => {
  serve("/a", content);
  web.behave = (_request, reply, n) => {
    if (n >= 2) return false;
    reply.writeHead(status as number, headers as Record<string, string>).end("later");
    return true;
  };
  const path = newPath();
  await download(`${web.at}/a`, path, options);
  expect(readFileSync(path).equals(content)).toBe(true);
  expect(waits).toEqual(expected);
});

test("every_status_is_asked_again_or_an_error_at_once", async () => {
  serve("/a", content);
  const passing = [408, 425, 429, 500, 501, 502, 503, 504, 505, 507, 508, 511, 520, 521, 522, 524, 529, 599];
  const final = [204, 205, 207, 300, 304, 305, ...Array.from({ length: 52 }, (_, i) => 400 + i)].filter(
    (status) => !passing.includes(status) && status !== 416,
  );
  expect(passing.length + final.length).toBeGreaterThan(70);
  for (const status of [...passing, ...final]) {
    asked.length = 0;
    waits.length = 0;
    web.behave = (_request, reply, n) => n === 0 && !!reply.writeHead(status).end();
    const path = newPath();
    const done = download(`${web.at}/a`, path, options);
    if (passing.includes(status)) {
      await done;
      expect(readFileSync(path).equals(content), String(status)).toBe(true);
      expect(waits, String(status)).toEqual([500]);
    } else {
      await expect(done, String(status)).rejects.toThrow(
        expect.objectContaining({ code: "input_remote", exitCode: 3 }),
      );
      expect(waits, String(status)).toEqual([]);
    }
  }
});

test("a_file_comes_whole_wherever_it_was_cut", async () => {
  const small = content.subarray(0, 1000);
  serve("/s", small);
  for (let at = 0; at < 1000; at += 20) {
    asked.length = 0;
    web.behave = (request, reply, n, file) => n === 0 && cut(request, reply, file, at);
    const path = newPath();
    await download(`${web.at}/s`, path, options);
    expect(readFileSync(path).equals(small), String(at)).toBe(true);
  }
});

test("a_retry_after_date_counts_from_now", async () => {
  serve("/a", "x");
  const date = new Date(Date.now() + 120_000).toUTCString();
  web.behave = (_request, reply, n) => n === 0 && !!reply.writeHead(503, { "retry-after": date }).end();
  await download(`${web.at}/a`, newPath(), options);
  expect(waits[0]).toBeGreaterThan(60_000);
  expect(waits[0]).toBeLessThanOrEqual(120_000);
});

test("retries_end_and_what_has_come_stays_for_the_next_run", async () => {
  serve("/a", content);
  const path = newPath();
  web.behave = (request, reply, n, file) =>
    n === 0 ? cut(request, reply, file, 70_000) : !!reply.writeHead(503).end();
  await expect(download(`${web.at}/a`, path, options)).rejects.toThrow(
    expect.objectContaining({ code: "input_remote", exitCode: 4, what: `cannot fetch ${web.at}/a` }),
  );
  expect(waits).toHaveLength(3);
  const held = readFileSync(`${path}.part`);
  expect(held.equals(content.subarray(0, held.length))).toBe(true);
  expect(held.length).toBeGreaterThan(0);
  expect(existsSync(path)).toBe(false);
  asked.length = 0;
  web.behave = () => false;
  await download(`${web.at}/a`, path, options);
  expect(readFileSync(path).equals(content)).toBe(true);
  expect(asked).toEqual([{ path: "/a", range: `bytes=${held.length}-`, ifRange: `"${hashOf(content)}"` }]);
});

test.each([
  ["all of it had come", content, true],
  ["more than all had come", Buffer.concat([content, content]), false],
  ["another file had come", Buffer.from("other"), false],
])("a_killed_transfer_goes_on_where_%s", async (_, part, trusted) => {
  serve("/a", content);
  const path = newPath();
  mkdirSync(join(path, ".."), { recursive: true });
  writeFileSync(`${path}.part`, part);
  const validator = trusted || part.length > content.length ? `"${hashOf(content)}"` : '"older"';
  writeFileSync(`${path}.part.json`, JSON.stringify({ url: `${web.at}/a`, validator }));
  await download(`${web.at}/a`, path, options);
  expect(readFileSync(path).equals(content)).toBe(true);
});

test.each(["{", '{"url": "http://x/a"}', JSON.stringify({ url: "http://elsewhere/a", validator: '"x"' })])(
  "a_state_that_is_%s_is_none",
  async (state) => {
    serve("/a", content);
    const path = newPath();
    mkdirSync(join(path, ".."), { recursive: true });
    writeFileSync(`${path}.part`, "junk");
    writeFileSync(`${path}.part.json`, state);
    await download(`${web.at}/a`, path, options);
    expect(readFileSync(path).equals(content)).toBe(true);
    expect(asked[0]!.range).toBe("");
  },
);

test.each([
  ["404", (reply: ServerResponse) => reply.writeHead(404).end(), /answers 404/],
  ["403", (reply: ServerResponse) => reply.writeHead(403).end(), /answers 403/],
  [
    "redirects for ever",
    (reply: ServerResponse) => reply.writeHead(302, { location: "/a" }).end(),
    /redirects/,
  ],
  [
    "another protocol",
    (reply: ServerResponse) => reply.writeHead(302, { location: "file:///etc/passwd" }).end(),
    /redirects to file/,
  ],
  [
    "an encoding",
    (reply: ServerResponse) => reply.writeHead(200, { "content-encoding": "br" }).end("x"),
    /encoded as br/,
  ],
])("%s_is_an_error_at_once", async (_, send, why) => {
  serve("/a", content);
  web.behave = (_request, reply) => !!send(reply);
  const path = newPath();
  await expect(download(`${web.at}/a`, path, options)).rejects.toThrow(
    expect.objectContaining({ code: "input_remote", exitCode: 3, why: expect.stringMatching(why) }),
  );
  expect(waits).toEqual([]);
  expect(existsSync(path)).toBe(false);
});

test("redirects_are_followed_with_their_ranges", async () => {
  serve("/a", "");
  serve("/deep/b", content);
  web.behave = (request, reply, n, file) => {
    if (request.url === "/a") return !!reply.writeHead(307, { location: "deep/b" }).end();
    return n === 0 && cut(request, reply, file, 10_000);
  };
  const path = newPath();
  await download(`${web.at}/a`, path, options);
  expect(readFileSync(path).equals(content)).toBe(true);
});

test("a_server_that_falls_silent_is_left", async () => {
  serve("/a", content);
  web.behave = (_request, reply, n) => {
    if (n > 0) return false;
    reply.writeHead(200, { "content-length": content.length }).write(content.subarray(0, 1000));
    return true;
  };
  const path = newPath();
  await download(`${web.at}/a`, path, { ...options, idleMs: 200 });
  expect(readFileSync(path).equals(content)).toBe(true);
});

test("ranges_are_exact_or_asked_for_again", async () => {
  serve("/a", content);
  expect((await fetchRange(`${web.at}/a`, 1000, 234, options)).equals(content.subarray(1000, 1234))).toBe(
    true,
  );
  const faults: Behave[] = [
    (_request, reply) =>
      !!reply.writeHead(206, { "content-range": "bytes 0-9/300000", "content-length": 10 }).end("0123456789"),
    (_request, reply) => !!reply.writeHead(206, { "content-range": "bytes 1000-1233/300000" }).end("short"),
    (_request, reply) => !!reply.writeHead(503).end(),
    (_request, reply) => {
      reply
        .writeHead(206, { "content-range": "bytes 1000-1233/300000", "content-length": 234 })
        .write("cut", () => reply.destroy());
      return true;
    },
  ];
  for (const fault of faults) {
    asked.length = 0;
    web.behave = (request, reply, n, file) => n === 0 && fault(request, reply, n, file);
    expect((await fetchRange(`${web.at}/a`, 1000, 234, options)).equals(content.subarray(1000, 1234))).toBe(
      true,
    );
    expect(asked).toHaveLength(2);
  }
  web.behave = (_request, reply) => !!reply.writeHead(200).end(content);
  await expect(fetchRange(`${web.at}/a`, 1000, 234, options)).rejects.toThrow(/does not serve ranges/);
  web.behave = () => false;
  await expect(fetchRange(`${web.at}/a`, 400_000, 10, options)).rejects.toThrow(/ends before them/);
});
