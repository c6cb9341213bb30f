// Files that grow with a run or a corpus are read and written in blocks: borders between blocks change nothing.
import {
  ftruncateSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import {
  atomicConcat,
  eachLine,
  JsonlFile,
  PIECE_BYTES,
  readJsonl,
  readWhole,
  writeWhole,
} from "../src/index.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-large-"));
afterAll(() => rmSync(root, { recursive: true }));

test("rows_over_many_blocks_are_cut_back_to_a_step_and_a_half_written_one_is_dropped", () => {
  const path = join(root, "samples.jsonl");
  // Rows of uneven length with characters of several bytes, 9 MB in all: blocks of 4 MiB end inside rows.
  const rows = Array.from({ length: 3500 }, (_, i) => ({
    step: 1 + Math.floor(i / 3),
    text: "é∑".repeat(i % 1201),
  }));
  writeFileSync(path, `${rows.map((row) => JSON.stringify(row)).join("\n")}\n{"step":1168,"te`);
  expect(statSync(path).size).toBeGreaterThan(8 << 20);
  expect(readJsonl(path)).toEqual(rows);
  const file = new JsonlFile(path);
  expect(file.offset()).toBe(statSync(path).size);
  file.truncateToStep(1167);
  expect(readJsonl(path)).toEqual(rows);
  expect(readFileSync(path).at(-1)).toBe(10);
  file.truncateToStep(777);
  expect(readJsonl(path)).toEqual(rows.filter(({ step }) => step <= 777));
  file.append({ step: 778 });
  file.close();
  expect(readJsonl(path).at(-1)).toEqual({ step: 778 });
});

test("lines_come_whole_from_blocks_smaller_than_they_are", () => {
  const path = join(root, "lines");
  const lines = ["", "a", "bb".repeat(50), "", "é", "last"];
  writeFileSync(path, lines.join("\n"));
  for (const block of [1, 2, 3, 7, 1000])
    expect(Array.from(eachLine(path, block), String), `blocks of ${block}`).toEqual(lines);
});

test("whole_files_are_read_and_written_in_pieces", () => {
  const path = join(root, "whole");
  const fd = openSync(path, "w");
  ftruncateSync(fd, PIECE_BYTES + 5);
  writeSync(fd, Buffer.from("hello"), 0, 5, PIECE_BYTES);
  writeSync(fd, Buffer.from("xy"), 0, 2, PIECE_BYTES - 1 - 7);
  const bytes = readWhole(path);
  expect(bytes).toHaveLength(PIECE_BYTES + 5);
  expect(bytes.toString("latin1", PIECE_BYTES)).toBe("hello");
  writeWhole(join(root, "copy"), bytes);
  expect(readFileSync(join(root, "copy")).equals(bytes)).toBe(true);
  const [a, empty] = [join(root, "a"), join(root, "empty")];
  writeFileSync(a, "one\n");
  writeFileSync(empty, "");
  atomicConcat(join(root, "all"), [a, path, empty, a]);
  expect(
    readFileSync(join(root, "all")).equals(
      Buffer.concat([Buffer.from("one\n"), bytes, Buffer.from("one\n")]),
    ),
  ).toBe(true);
  expect(() => atomicConcat(join(root, "none"), [join(root, "absent")])).toThrow(/ENOENT/);
});
