// JSON whose numbers may be wider than a double: those are read as the digits that are written.

const NUMBER = /-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
/** Digits that every double has. */
const SAFE_DIGITS = 15;

const exact = (token: string): string => {
  if (token.length <= SAFE_DIGITS || /[eE]/.test(token) || String(Number(token)) === token) return token;
  return `"${token}"`;
};

/** Place behind the string that begins at `open`. Strings are searched by hand: a pattern needs stack for each character. */
function stringEnd(line: string, open: number): number {
  for (let at = line.indexOf('"', open + 1); at >= 0; at = line.indexOf('"', at + 1)) {
    let slashes = 0;
    while (line[at - 1 - slashes] === "\\") slashes++;
    if (slashes % 2 === 0) return at + 1;
  }
  return line.length;
}

/** Parses a row; a number that a double cannot hold becomes the string of its digits. Throws SyntaxError. */
export function parseRow(line: string): unknown {
  const row: unknown = JSON.parse(line);
  if (!/\d{16}|\d\.\d{15}/.test(line)) return row;
  const parts: string[] = [];
  let changed = false;
  for (let at = 0; at < line.length; ) {
    const open = line.indexOf('"', at);
    const between = line.slice(at, open < 0 ? line.length : open);
    const digits = between.replace(NUMBER, exact);
    changed ||= digits !== between;
    at = open < 0 ? line.length : stringEnd(line, open);
    parts.push(digits, open < 0 ? "" : line.slice(open, at));
  }
  return changed ? JSON.parse(parts.join("")) : row;
}
