// Programs in a text, between fences of Python.

const fence = "```";
/** A fence's first line in the spellings that models use: python, Python, py, python3, with or without more words. */
const opening = /```[ \t]*(?:python|py)[\d.]*(?![\w-])[^\n]*\n/gi;

/** Code of every block of Python; the last one may lack its closing fence. */
export function codeBlocks(text: string): string[] {
  const out: string[] = [];
  let at = 0;
  for (;;) {
    opening.lastIndex = at;
    const start = opening.exec(text);
    if (!start) return out;
    const from = opening.lastIndex;
    const end = text.indexOf(fence, from);
    out.push(text.slice(from, end < 0 ? undefined : end).trimEnd());
    if (end < 0) return out;
    at = end + fence.length;
  }
}

/**
 * The program that an answer is, behind its thought: its last block of Python, or where it has none and goes on writing `starter`, both
 * together. Undefined where it holds none, or its thought never ends.
 */
export function programOf(completion: string, starter?: string): string | undefined {
  const end = completion.lastIndexOf("</think>");
  if (end < 0 && completion.includes("<think>")) return undefined;
  const block = codeBlocks(completion.slice(Math.max(0, end))).at(-1);
  return block ?? (starter === undefined ? undefined : starter + completion);
}

/** The answer of a program: the last line that it wrote. */
export function lastLine(stdout: string): string {
  return stdout.trimEnd().split("\n").at(-1)?.trim() ?? "";
}
