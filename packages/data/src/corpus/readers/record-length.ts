// Where a record of an archive ends whose stated length is wrong: crawlers count characters for bytes, or lengths before a
// body was decoded. A right length ends before a blank line; where it does not, the head of the next record decides.
import type { Window } from "./window.ts";

const LF = 10;
const CR = 13;
/** Bytes before or behind the stated end in which the next head is looked for. */
const PROBE = 1 << 22;
const MAX_HEAD = 4096;
const VERSION = /^WARC\/\d\.\d\r?\n/;
/** Lines of a head that no page has by chance behind its version. */
const HEAD = /^WARC\/\d\.\d\r?\n(?:[!-~]+:[^\n]*\n|[ \t][^\n]*\n)*?(?:WARC-Type|WARC-Record-ID):/i;

/** Place of the next record's head that begins a line, at `from` or behind it and before `to`; −1 where there is none. */
function nextHead(b: Buffer, from: number, to = b.length): number {
  for (let i = b.indexOf("WARC/", from, "latin1"); i >= 0 && i < to; i = b.indexOf("WARC/", i + 5, "latin1"))
    if (b[i - 1] === LF && HEAD.test(b.toString("latin1", i, i + MAX_HEAD))) return i;
  return -1;
}

/** Whether a record of this length is followed by line ends, the next head or the end of the stream. */
async function isInStep(w: Window, length: number): Promise<boolean> {
  await w.need(length + 12);
  const end = w.at + length;
  const b = w.buffer;
  if (end >= b.length) return true;
  const isEnd = (at: number) => b[at] === LF || (b[at] === CR && b[at + 1] === LF);
  if (isEnd(end)) {
    const second = b[end] === CR ? end + 2 : end + 1;
    if (second >= b.length || isEnd(second)) return true;
    return VERSION.test(b.toString("latin1", second, second + 12));
  }
  return VERSION.test(b.toString("latin1", end, end + 12));
}

/** Length of a block up to the head at `at`, without the line ends before it. */
function lengthUpTo(w: Window, at: number): number {
  let end = at;
  for (let n = 0; n < 2 && end > w.at && w.buffer[end - 1] === LF; n++)
    end -= w.buffer[end - 2] === CR && end - 2 >= w.at ? 2 : 1;
  return end - w.at;
}

/**
 * Length of the WARC block that begins at the window's place and is said to have `stated` bytes: as stated where that is right
 * or nothing shows what is, else as the next head shows. At most `most` bytes; the block is held then.
 */
export async function blockLength(w: Window, stated: number, most: number): Promise<number> {
  const held = await w.need(Math.min(stated, Math.max(most, PROBE)));
  if (stated <= most && held && (await isInStep(w, stated))) return stated;
  if (held) await w.need(stated + MAX_HEAD);
  const inside = nextHead(w.buffer, w.at + 1, w.at + stated);
  if (inside >= 0) return lengthUpTo(w, inside);
  if (stated > most || !held) return stated;
  await w.need(stated + PROBE);
  const behind = nextHead(w.buffer, w.at + stated);
  return behind >= 0 && behind - w.at <= most ? lengthUpTo(w, behind) : stated;
}
