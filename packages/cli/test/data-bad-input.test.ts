// `nsa data` on what crawls really hold: each kind of damage is named, counted and quarantined, and nothing else is lost.
import { spawnSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, expect, test } from "vitest";
import { buildOnce, bundle, nsa } from "./built.ts";

const dir = mkdtempSync(join(tmpdir(), "nsa-data-bad-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const row = (id: string, i: number) =>
  JSON.stringify({
    id,
    url: `https://a.example/${id}-${i}`,
    text: `Page ${i} of ${id}. ${"word ".repeat(40)}${i * i}`,
  });
const rows = (id: string, n: number) =>
  Array.from({ length: n }, (_, i) => `${row(`${id}${i}`, i)}\n`).join("");
const put = (name: string, content: string | Uint8Array) => {
  writeFileSync(join(dir, name), content);
  return join(dir, name);
};

function recipe(name: string, settings: string): string {
  return put(
    `${name}.yaml`,
    `out_dir: ${dir}/${name}
positives: [${put("good.jsonl", rows("good", 30))}]
negatives: [${put("bad.jsonl", rows("bad", 30))}]
budget_tokens: 1000
executor: inline
max_quarantine_share: 0.2
fasttext: {dim: 4, bucket: 500, word_ngrams: 1, min_count: 1}
loop: {max_rounds: 1}
${settings}
`,
  );
}
const pool = (path: string) => `inputs: [${path}]`;
const documents = (name: string, shard: string) =>
  readFileSync(join(dir, name, "read/pool", `${shard}.jsonl`), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { id: string });
const quarantine = (name: string) =>
  readFileSync(join(dir, name, "quarantine.jsonl"), "utf8")
    .split("\n")
    .filter(Boolean)
    .map((line) => (JSON.parse(line) as { reason: string }).reason);

test("an_empty_file_among_others_gives_nothing_and_alone_ends_with_3", () => {
  const [empty, full] = [put("empty.jsonl", ""), put("full.jsonl", rows("f", 20))];
  const run = nsa(["data", "read", recipe("with-empty", `inputs: [${empty}, ${full}]`), "--json"]);
  expect(run.status, run.stderr).toBe(0);
  expect(JSON.parse(run.stdout).funnel[1].documents).toBe(20);
  const alone = nsa(["data", "rank", recipe("only-empty", pool(empty))]);
  expect(alone.status).toBe(3);
  expect(alone.stderr).toContain("no document of the pool is left");
});

test("a_truncated_gzip_keeps_what_came_before", () => {
  const whole = gzipSync(Array.from({ length: 400 }, (_, i) => `${row(`t${i}`, i * 7919)}\n`).join(""));
  const path = put("cut.jsonl.gz", whole.subarray(0, Math.floor(whole.length * 0.7)));
  const run = nsa(["data", "read", recipe("cut", pool(path)), "--json"]);
  expect(run.status, run.stderr).toBe(0);
  expect(documents("cut", "00000-cut").length).toBeGreaterThan(200);
  expect(quarantine("cut")).toContain("stream_broken");
});

test("a_line_in_another_encoding_and_one_of_100_mb_are_quarantined_the_rest_is_kept", () => {
  const path = put("odd.jsonl", rows("o", 20));
  const fd = openSync(path, "a");
  writeSync(fd, Buffer.from('{"id":"latin","text":"caf\xe9 '.concat("x".repeat(200), '"}\n'), "latin1"));
  const block = Buffer.alloc(10_000_000, "a");
  writeSync(fd, '{"id":"long","text":"');
  for (let i = 0; i < 10; i++) writeSync(fd, block);
  writeSync(fd, `"}\n${rows("after", 5)}`);
  closeSync(fd);
  const run = nsa(["data", "read", recipe("odd", pool(path))], {
    env: { NODE_OPTIONS: "--max-old-space-size=96" },
  });
  expect(run.status, run.stderr).toBe(0);
  expect(quarantine("odd")).toEqual(["not_utf8", "line_too_long"]);
  expect(documents("odd", "00000-odd").length).toBe(25);
});

test("too_many_bad_records_end_with_3_and_all_are_in_quarantine", () => {
  const path = put("broken.jsonl", rows("b", 10) + "{oops\n".repeat(6));
  const run = nsa(["data", "read", recipe("broken", pool(path))]);
  expect(run.status).toBe(3);
  expect(run.stderr).toContain("6 of 16 records");
  expect(quarantine("broken")).toEqual(Array(6).fill("not_json"));
});

test("repeated_ids_keep_both_records", () => {
  const path = put("twice.jsonl", `${row("same", 1)}\n${row("same", 2)}\n`);
  expect(nsa(["data", "read", recipe("twice", pool(path))]).status).toBe(0);
  const ids = documents("twice", "00000-twice").map((d) => d.id);
  expect(ids[0]).toBe("same");
  expect(new Set(ids).size).toBe(2);
});

test("labels_of_another_pool_and_a_model_with_a_wrong_magic_are_named", () => {
  const path = put("sound.jsonl", rows("s", 30));
  const labels = put("labels.jsonl", '{"id":"nobody","label":"math"}\n');
  const wrongLabels = nsa(["data", "rank", recipe("labels", `${pool(path)}\nlabels: ${labels}`)]);
  expect(wrongLabels.status).toBe(3);
  expect(wrongLabels.stderr).toContain("no document of the pool has a label");
  const model = put("model.bin", Buffer.alloc(4096, 7));
  const wrongModel = nsa(["data", "rank", recipe("model", `${pool(path)}\nmodel: ${model}`)]);
  expect(wrongModel.status).toBe(3);
  expect(wrongModel.stderr).toMatch(/model\.bin/);
  expect(wrongModel.stderr).not.toMatch(/\n {4}at /);
});

test("an_output_folder_that_cannot_be_is_named_with_the_reason", () => {
  const path = put("sound2.jsonl", rows("s", 30));
  const file = recipe("nowhere", pool(path));
  const under = nsa(["data", "read", file, "--set", `out_dir=${path}/out`]);
  expect(under.status).toBe(3);
  expect(under.stderr).toMatch(
    /cannot use .*sound2\.jsonl.*\n {2}why: a file stands where a folder is needed/,
  );
  const report = nsa(["data", "stats", path, "--report", join(path, "none", "r.html")]);
  expect(report.status).toBe(3);
  expect(report.stderr).not.toContain("bug in nsa");
});

test("a_full_disk_ends_with_3_keeps_finished_shards_and_the_rerun_ends_with_the_bytes_of_a_whole_run", () => {
  buildOnce();
  const [small, large] = [put("a.jsonl", rows("a", 40)), put("b.jsonl", rows("b", 2000))];
  const file = recipe("full", `inputs: [${small}, ${large}]`);
  // A file may grow to 128 KiB: enough for the first shard, not for the second.
  const limited = spawnSync(
    "bash",
    ["-c", `trap '' XFSZ; ulimit -f 128; exec node ${bundle} data read ${file}`],
    { encoding: "utf8" },
  );
  expect(limited.status, limited.stderr).toBe(3);
  expect(limited.stderr).toContain("disk is full");
  expect(documents("full", "00000-a").length).toBe(40);
  const again = nsa(["data", "read", file, "--json"]);
  expect(again.status, again.stderr).toBe(0);
  expect(JSON.parse(again.stdout).funnel[1].documents).toBe(2040);
  expect(again.stderr).toContain("1 from before");
});
