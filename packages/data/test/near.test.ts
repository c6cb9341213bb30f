// Which documents of one bucket are compared, and how pairs become clusters, on signatures written by hand.
import { mkdtempSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { bandPairs, clusterMarks } from "../src/corpus/dedup/near.ts";
import { type BandFile, bandRun, nearDuplicates } from "../src/index.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-near-"));
afterAll(() => rmSync(root, { recursive: true }));

/** A shard of signatures of 8 numbers; `bands[b][d]` is the band hash of a document. */
function shard(name: string, signatures: number[][], bands: number[][]): BandFile {
  const files = { signatures: join(root, `${name}.sig`), bands: join(root, `${name}.bands`) };
  writeFileSync(files.signatures, new Uint8Array(Uint32Array.from(signatures.flat()).buffer));
  writeFileSync(files.bands, Buffer.concat(bands.map((b) => new Uint8Array(bandRun(b).buffer))));
  return { ...files, documents: signatures.length };
}

/** Signatures that agree with 1 1 1 1 1 1 1 1 in so many places. */
const like = (same: number, other: number) => Array.from({ length: 8 }, (_, i) => (i < same ? 1 : other));
const none = (documents: number) => new Uint8Array(documents);

test("a_document_is_compared_with_the_first_and_with_the_one_before_of_its_bucket", () => {
  // Of one bucket: 0 is like none, 1 and 2 agree in 7 of 8 places, 3 agrees with 0 in 6.
  const first = shard("first", [like(0, 5), like(8, 1)], [[9, 9]]);
  const second = shard("second", [like(7, 2), [5, 5, 5, 5, 5, 5, 8, 8]], [[9, 9]]);
  const options = { bands: 1, hashes: 8, threshold: 0.75 };
  expect([...bandPairs([first, second], 0, options, none(4))]).toEqual([1, 2, 0, 3]);
  expect([...nearDuplicates([first, second], options, none(4))]).toEqual([0, 0, 1, 1]);
  // At the threshold they are duplicates, above it not.
  expect([...bandPairs([first, second], 0, { ...options, threshold: 0.76 }, none(4))]).toEqual([1, 2]);
  expect([...bandPairs([first, second], 0, { ...options, threshold: 0.9 }, none(4))]).toEqual([]);
  // A dropped document is neither first nor before.
  expect([...bandPairs([first, second], 0, options, Uint8Array.of(1, 0, 0, 0))]).toEqual([1, 2]);
});

test("documents_of_different_buckets_are_never_compared", () => {
  const files = [
    shard(
      "apart",
      [like(8, 1), like(8, 1), like(8, 1)],
      [
        [1, 2, 3],
        [4, 5, 4],
      ],
    ),
  ];
  const options = { bands: 2, hashes: 8, threshold: 0.5 };
  expect([...bandPairs(files, 0, options, none(3))]).toEqual([]);
  expect([...bandPairs(files, 1, options, none(3))]).toEqual([0, 2]);
  expect([...nearDuplicates(files, options, none(3))]).toEqual([0, 0, 1]);
});

test("a_chain_of_pairs_is_one_cluster_whose_first_document_stays", () => {
  // 5–3 and 3–1 in one band, 1–4 in another; 0–2 apart.
  const bands = [Uint32Array.of(3, 5, 1, 3), Uint32Array.of(1, 4, 0, 2)];
  expect([...clusterMarks(7, bands)]).toEqual([0, 0, 1, 1, 1, 1, 0]);
});

test.each(Array.from({ length: 60 }, (_, i) => i))(
  "random_buckets_%i_give_the_pairs_of_the_definition",
  (seed) => {
    let state = 7919 * (seed + 1);
    const below = (n: number) => {
      state = (state * 48_271) % 2_147_483_647;
      return state % n;
    };
    // One to three shards, two bands of few hashes, signatures of two values, some documents dropped already.
    const sizes = Array.from({ length: 1 + below(3) }, () => 1 + below(8));
    const documents = sizes.reduce((a, b) => a + b, 0);
    const signatures = Array.from({ length: documents }, () => Array.from({ length: 8 }, () => below(2)));
    const hashes = [0, 1].map(() => Array.from({ length: documents }, () => 10 + below(3)));
    const dropped = Uint8Array.from({ length: documents }, () => (below(5) === 0 ? 1 : 0));
    let from = 0;
    const files = sizes.map((n, s) => {
      const to = from + n;
      const made = shard(
        `r${seed}-${s}`,
        signatures.slice(from, to),
        hashes.map((band) => band.slice(from, to)),
      );
      from = to;
      return made;
    });
    const threshold = [0.5, 0.625, 0.75, 0.875][below(4)]!;
    const alike = (a: number, b: number) =>
      signatures[a]!.filter((value, i) => value === signatures[b]![i]).length >= 8 * threshold;
    const linked = Array.from({ length: documents }, (_, i) => i);
    hashes.forEach((band, b) => {
      const expected: [number, number][] = [];
      for (const hash of [10, 11, 12]) {
        const bucket = band.flatMap((h, d) => (h === hash && dropped[d] === 0 ? [d] : []));
        bucket.forEach((d, i) => {
          const partners = new Set(i === 0 ? [] : [bucket[0]!, bucket[i - 1]!]);
          for (const partner of partners) if (alike(partner, d)) expected.push([partner, d]);
        });
      }
      expect([...bandPairs(files, b, { bands: 2, hashes: 8, threshold }, dropped)]).toEqual(expected.flat());
      for (const [a, d] of expected) {
        const [low, high] = [linked[a]!, linked[d]!].sort((x, y) => x - y) as [number, number];
        linked.forEach((root, i) => {
          if (root === high) linked[i] = low;
        });
      }
    });
    const marks = linked.map((root, i) => (root === i ? 0 : 1));
    expect([...nearDuplicates(files, { bands: 2, hashes: 8, threshold }, dropped)]).toEqual(marks);
  },
);

test.each(["signatures", "bands"] as const)(
  "a_file_of_%s_that_was_cut_is_an_error_and_no_document_of_zeros",
  (which) => {
    const files = shard(`cut-${which}`, [like(8, 1), like(8, 1), like(8, 1)], [[7, 7, 7]]);
    const size = statSync(files[which]).size;
    truncateSync(files[which], size - 4);
    const options = { bands: 1, hashes: 8, threshold: 0.75 };
    expect(() => bandPairs([files], 0, options, none(3))).toThrow(
      expect.objectContaining({
        code: "file_cut",
        what: files[which],
        why: expect.stringContaining(`it ends at byte ${size - 4}`),
        exitCode: 3,
      }),
    );
  },
);
