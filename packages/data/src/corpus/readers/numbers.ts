// JSON whose numbers may be wider than a double: those are read as the digits that are written. And JSON with NaN.

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

/** The line with what stands outside its strings changed. */
function outsideStrings(line: string, change: (part: string) => string): string {
  const parts: string[] = [];
  for (let at = 0; at < line.length; ) {
    const open = line.indexOf('"', at);
    parts.push(change(line.slice(at, open < 0 ? line.length : open)));
    at = open < 0 ? line.length : stringEnd(line, open);
    if (open >= 0) parts.push(line.slice(open, at));
  }
  return parts.join("");
}

/** Parses JSON as Python writes it: NaN and Infinity, for which JSON has no words, are null. Throws SyntaxError. */
export function parsePythonJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch (error) {
    if (!/NaN|Infinity/.test(line)) throw error;
    return JSON.parse(outsideStrings(line, (part) => part.replace(/-?\b(?:NaN|Infinity)\b/g, "null")));
  }
}

/** Parses a row; a number that a double cannot hold becomes the string of its digits. Throws SyntaxError. */
export function parseRow(line: string): unknown {
  const row = parsePythonJson(line);
  if (!/\d{16}|\d\.\d{15}/.test(line)) return row;
  const digits = outsideStrings(line, (part) => part.replace(NUMBER, exact));
  return digits === line ? row : parsePythonJson(digits);
}
