// A person's annotations: paths in every spelling, rows that stay, rows that match nothing; limits that bind nothing.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { annotationMatcher, offerAnnotations, readAnnotations } from "../src/corpus/loop/annotations.ts";
import type { PathProposal } from "../src/corpus/loop/domains.ts";
import { BuildConfig, buildCorpus, FastTextConfig, trainToFile, writeCrawl } from "../src/index.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-annotations-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const matcher = (domain: string, path: string, accept = true) =>
  annotationMatcher({ round: 1, proposals_hash: "", paths: [{ domain, path, accept }] });
const url = "https://mathoverflow.net/questions/12/abc";

test.each([
  "/questions",
  "/questions/",
  "questions",
  "questions/",
  "/questions/*",
  "questions/**",
  " /questions ",
  "/",
  "/*",
  "",
  "/questions/12",
  "/questions/12/abc",
])("the_path_%j_is_read_as_it_is_meant", (path) => {
  expect(matcher("mathoverflow.net", path)(url, "mathoverflow.net")).toBe(true);
});

test.each(["mathoverflow.net", "MathOverflow.net", "https://mathoverflow.net/", "www.mathoverflow.net"])(
  "the_domain_%s_is_read_as_it_is_meant",
  (domain) => expect(matcher(domain, "/questions/")(url, "mathoverflow.net")).toBe(true),
);

test.each(["/question", "/questions/1", "/questions/12/ab", "/answers/", "/questions/12/abc/d"])(
  "the_path_%s_is_another",
  (path) => {
    const match = matcher("mathoverflow.net", path);
    expect(match(url, "mathoverflow.net")).toBeUndefined();
    expect(match.unmatched()).toEqual([`mathoverflow.net${path}`]);
  },
);

test("the_longest_path_decides", () => {
  const match = annotationMatcher({
    round: 1,
    proposals_hash: "",
    paths: [
      { domain: "a.org", path: "/x", accept: true },
      { domain: "a.org", path: "/x/y/", accept: false },
    ],
  });
  expect([match("https://a.org/x/1", "a.org"), match("https://a.org/x/y/1", "a.org")]).toEqual([true, false]);
  expect(match.unmatched()).toEqual([]);
});

const proposal = (path: string, accept: boolean): PathProposal => ({
  domain: "a.org",
  path,
  pages: 10,
  collected: 6,
  share: 0.6,
  accept,
  examples: [{ url: `https://a.org${path}1`, title: "One" }],
});

test("a_person's_rows_outlive_other_proposals", () => {
  const path = join(root, "round-1.yaml");
  expect(offerAnnotations(path, 1, "first", [proposal("/x/", true), proposal("/y/", true)]).existed).toBe(
    false,
  );
  expect(readFileSync(path, "utf8")).toContain("https://a.org/x/1 (One)");
  const edited = `${readFileSync(path, "utf8").replace("accept: true", "accept: false")}  - domain: b.org\n    path: own/\n    accept: true\n`;
  writeFileSync(path, edited);
  expect(offerAnnotations(path, 1, "first", [])).toEqual({ existed: true });
  expect(readFileSync(path, "utf8")).toBe(edited);
  // The pool has changed: /y/ is not proposed any more, /z/ is new.
  expect(offerAnnotations(path, 1, "second", [proposal("/x/", true), proposal("/z/", true)]).existed).toBe(
    false,
  );
  const rows = readAnnotations(path).paths.map((r) => [r.domain, r.path, r.accept]);
  expect(rows).toEqual([
    ["a.org", "/x/", false],
    ["a.org", "/z/", true],
    ["a.org", "/y/", true],
    ["b.org", "own/", true],
  ]);
  // Nothing new: no need to ask again.
  expect(offerAnnotations(path, 1, "third", [proposal("/z/", false)]).existed).toBe(true);
});

test("a_budget_that_binds_nothing_and_a_classifier_that_diverged_are_said", async () => {
  const crawl = writeCrawl(join(root, "crawl"), { pages: 200, seed: 3, mathShare: 0.2 });
  const config = (out: string, more: object) =>
    BuildConfig.parse({
      outDir: join(root, out),
      inputs: [crawl.pool],
      positives: [crawl.positives],
      negatives: [crawl.negatives],
      executor: "inline",
      budgetTokens: 10_000_000,
      fasttext: { dim: 8, bucket: 1000, lr: 0.5, epoch: 3, engine: "typescript" },
      loop: { autoAnnotate: true, maxRounds: 1 },
      ...more,
    });
  const { warnings, rounds } = await buildCorpus(config("all", {}));
  expect(warnings).toEqual([
    expect.stringMatching(/^budget_tokens \(10000000\) and min_score \(0\) bind nothing: all \d+ pages/),
  ]);
  expect(rounds[0]!.rank.collected).toBe(rounds[0]!.rank.documents);
  expect((await buildCorpus(config("some", { budgetTokens: 500 }))).warnings).toEqual([]);
  const fasttext = { dim: 8, bucket: 1000, lr: 100, epoch: 25, engine: "typescript" };
  await expect(buildCorpus(config("diverged", { fasttext }))).rejects.toMatchObject({
    code: "classifier_diverged",
    exitCode: 5,
  });
});

test.each(["native", "typescript"] as const)("%s_training_that_diverges_is_stopped", (engine) => {
  const text = join(root, `${engine}.txt`);
  const lines = Array.from(
    { length: 200 },
    (_, i) => `__label__${i % 2 ? "math" : "other"} w${i % 7} w${i % 3} w${i % 5}\n`,
  );
  writeFileSync(text, lines.join(""));
  const config = FastTextConfig.parse({ dim: 8, bucket: 100, minCount: 1, lr: 1e20, epoch: 25 });
  expect(() => trainToFile(text, join(root, `${engine}.bin`), config, engine)).toThrow(
    expect.objectContaining({ code: "classifier_diverged", exitCode: 5 }),
  );
  expect(() => trainToFile(text, join(root, `${engine}.bin`), { ...config, lr: 0.5 }, engine)).not.toThrow();
});
