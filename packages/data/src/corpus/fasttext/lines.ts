// Lines of a file for the classifier, which takes them as byte ranges.
import { eachLine } from "@nsa/core";

/** Calls visit(bytes, start, end) for each line without its newline. */
export function forEachLine(
  path: string,
  visit: (bytes: Uint8Array, start: number, end: number) => void,
): void {
  for (const line of eachLine(path)) visit(line, 0, line.length);
}
