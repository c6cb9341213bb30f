// Records of a task come from a hub: here one on this machine.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, expect, test } from "vitest";
import { fetchTask, findTask, readProblems, taskSchema } from "../src/index.ts";
import { fromHub } from "../src/tasks/fetch.ts";

const dir = mkdtempSync(join(tmpdir(), "nsa-hub-"));
const files: Record<string, string> = {
  "/datasets/me/sums/resolve/main/test.jsonl": `${[1, 2].map((i) => JSON.stringify({ question: `${i}+1?`, answer: `so\n#### ${i + 1}` })).join("\n")}\n`,
  "/datasets/HuggingFaceH4/MATH-500/resolve/main/test.jsonl": `${JSON.stringify({ problem: "Convert $(0,3)$ to polar form.", solution: "So \\boxed{p}.", answer: "\\left( 3, \\frac{\\pi}{2} \\right)", subject: "Precalculus", level: 2, unique_id: "test/precalculus/807.json" })}\n`,
  "/datasets/reasoning-machines/gsm-hard/resolve/main/gsmhardv2.jsonl": `${JSON.stringify({ input: "What is 2 + 4933826?", code: "def solution(): ...", target: 4933828.0 })}\n`,
  "/datasets/weitianwen/cmath/resolve/main/cmath_test.jsonl": `${JSON.stringify({ question: "3加4？", golden: "7", grade: 1 })}\n`,
  "/datasets/me/sums/resolve/main/bad.jsonl": '{"question": "1+1?"}\n',
};
let server: Server;
let hub = "";
beforeAll(async () => {
  server = createServer((request, response) => {
    const body = files[new URL(request.url!, "http://x").pathname];
    if (body === undefined) {
      response.writeHead(404).end();
      return;
    }
    const bytes = Buffer.from(body);
    const range = /bytes=(\d+)-(\d+)/.exec(request.headers.range ?? "");
    const [from, to] = range
      ? [Number(range[1]), Math.min(Number(range[2]), bytes.length - 1)]
      : [0, bytes.length - 1];
    const headers = { etag: '"1"', "content-type": "application/octet-stream", "accept-ranges": "bytes" };
    const part = bytes.subarray(from, to + 1);
    if (range)
      response.writeHead(206, {
        ...headers,
        "content-range": `bytes ${from}-${to}/${bytes.length}`,
        "content-length": part.length,
      });
    else response.writeHead(200, { ...headers, "content-length": part.length });
    response.end(request.method === "HEAD" ? undefined : part);
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  hub = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.close();
  rmSync(dir, { recursive: true, force: true });
});

const task = (path: string) =>
  taskSchema.parse({
    name: "sums",
    files: ["sums/test.jsonl.gz"],
    answerAfter: "####",
    hub: { repo: "me/sums", path },
  });

test("fetched_records_are_the_task_s_problems", async () => {
  const { path, records } = await fetchTask(task("test.jsonl"), { dataDir: dir, hub });
  expect(records).toBe(2);
  expect(gunzipSync(readFileSync(path)).toString("utf8").split("\n")).toHaveLength(3);
  expect(readProblems(task("test.jsonl"), dir).map((p) => [p.question, p.answer])).toEqual([
    ["1+1?", "2"],
    ["2+1?", "3"],
  ]);
});

test("tasks_of_other_field_names_are_fetched_as_they_are_read", async () => {
  for (const [name, question, answer] of [
    ["math", "Convert $(0,3)$ to polar form.", "\\left( 3, \\frac{\\pi}{2} \\right)"],
    ["gsm-hard", "What is 2 + 4933826?", "4933828"],
    ["cmath", "3加4？", "7"],
  ] as const) {
    await fetchTask(findTask(name), { dataDir: dir, hub });
    expect(readProblems(findTask(name), dir)).toMatchObject([{ question, answer }]);
  }
  // Records as the hub's Parquet files hold them.
  const svamp = {
    ID: "chal-1",
    Body: "A pack costs 76.",
    Question: "And two?",
    Equation: "",
    Answer: "152.0",
  };
  expect(fromHub(findTask("svamp"), svamp, "x:1")).toMatchObject({
    id: "chal-1",
    question: "A pack costs 76. And two?",
    answer: "152.0",
  });
  const aqua = { question: "q", options: ["A)1", "B)2"], rationale: "", correct: "B" };
  expect(fromHub(findTask("aqua"), aqua, "x:1")).toMatchObject({ options: aqua.options, answer: "B" });
  expect(() => fromHub(findTask("svamp"), { Body: "b" }, "x:1")).toThrow(
    expect.objectContaining({ code: "data_field_missing", exitCode: 3 }),
  );
});

test("absent_files_bad_records_and_local_tasks_are_refused", async () => {
  await expect(fetchTask(task("none.jsonl"), { dataDir: dir, hub })).rejects.toMatchObject({
    code: "task_fetch_failed",
    exitCode: 4,
  });
  await expect(fetchTask(task("bad.jsonl"), { dataDir: dir, hub })).rejects.toMatchObject({
    code: "task_record_invalid",
    what: "bad.jsonl:1",
  });
  const local = taskSchema.parse({ name: "x", files: ["x.jsonl"] });
  await expect(fetchTask(local, { dataDir: dir, hub })).rejects.toMatchObject({
    code: "task_not_on_hub",
    exitCode: 2,
  });
});
