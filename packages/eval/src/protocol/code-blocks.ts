// Programs in a text, between fences of Python.

const fence = "```";

/** Code of every ```python block; the last one may lack its closing fence. */
export function codeBlocks(text: string): string[] {
  const out: string[] = [];
  let at = 0;
  for (;;) {
    const start = text.indexOf(`${fence}python`, at);
    if (start < 0) return out;
    const from = text.indexOf("\n", start);
    if (from < 0) return out;
    const end = text.indexOf(fence, from);
    out.push(text.slice(from + 1, end < 0 ? undefined : end).trimEnd());
    if (end < 0) return out;
    at = end + fence.length;
  }
}

/** The answer of a program: the last line that it wrote. */
export function lastLine(stdout: string): string {
  return stdout.trimEnd().split("\n").at(-1)?.trim() ?? "";
}
