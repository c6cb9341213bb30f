// Lines of a stream whose pieces end anywhere.
import { expect, test } from "vitest";
import { lineSplitter } from "../src/index.ts";

test("lines_come_whole_wherever_the_pieces_of_a_stream_end", () => {
  const text = "a\n\nbc\r\nlast";
  for (const size of [1, 2, 3, 5, 100]) {
    const lines: string[] = [];
    const take = lineSplitter((line) => lines.push(line));
    for (let i = 0; i < text.length; i += size) take(text.slice(i, i + size));
    expect(lines).toEqual(["a", "", "bc\r"]);
    take("\n");
    expect(lines.at(-1)).toBe("last");
  }
});
