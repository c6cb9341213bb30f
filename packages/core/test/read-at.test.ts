// A part of a file is read whole, or the error names the file, its end and the bytes that were wanted.
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { readAt } from "../src/index.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-read-at-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

test("bytes_from_a_position_and_a_file_that_ends_before_them", () => {
  const path = join(root, "ten");
  writeFileSync(path, "0123456789");
  const fd = openSync(path, "r");
  const read = (length: number, position: number) => {
    const into = Buffer.alloc(length, "x");
    readAt(fd, into, position, path);
    return into.toString();
  };
  try {
    expect([read(3, 4), read(2, 8), read(0, 10)]).toEqual(["456", "89", ""]);
    for (const [length, position] of [
      [3, 8],
      [1, 10],
    ] as const)
      expect(() => read(length, position)).toThrow(
        expect.objectContaining({
          code: "file_cut",
          what: path,
          why: `it ends at byte 10, and bytes ${position} to ${position + length} were to be read`,
          exitCode: 3,
        }),
      );
  } finally {
    closeSync(fd);
  }
});
