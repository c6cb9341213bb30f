// JSON whose numbers may be wider than a double: those are read as the digits that are written.

const TOKEN = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
/** Digits that every double has. */
const SAFE_DIGITS = 15;

/** Parses a row; a number that a double cannot hold becomes the string of its digits. Throws SyntaxError. */
export function parseRow(line: string): unknown {
  const row: unknown = JSON.parse(line);
  if (!/\d{16}|\d\.\d{15}/.test(line)) return row;
  const quoted = line.replace(TOKEN, (token) => {
    if (token[0] === '"' || token.length <= SAFE_DIGITS || /[eE]/.test(token)) return token;
    return String(Number(token)) === token ? token : `"${token}"`;
  });
  return quoted === line ? row : JSON.parse(quoted);
}
