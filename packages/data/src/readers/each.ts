// Rows of our own JSONL files, parsed one at a time.
import { eachLine, forEachLine } from "../fasttext/lines.ts";

export function forEachJson<T>(path: string, visit: (row: T, index: number) => void): void {
  let index = 0;
  const utf8 = new TextDecoder();
  forEachLine(path, (bytes, start, end) => {
    visit(JSON.parse(utf8.decode(bytes.subarray(start, end))) as T, index++);
  });
}

export function* eachJson<T>(path: string): Generator<T> {
  const utf8 = new TextDecoder();
  for (const line of eachLine(path)) yield JSON.parse(utf8.decode(line)) as T;
}
