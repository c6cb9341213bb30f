// Ends connections whose client does not take what is written to it: such an answer would be held in memory without end.
import type { ServerResponse } from "node:http";

const CHECK_MS = 1000;
/** An answer with this much untaken is given up at once. */
const MAX_UNTAKEN = 32 * 2 ** 20;

/** Destroys the response when nothing of it has been taken for `seconds`, or too much of it waits. */
export function watchReader(res: ServerResponse, seconds: number): void {
  let [taken, since] = [-1, performance.now()];
  const timer = setInterval(() => {
    const { socket } = res;
    if (!socket) return;
    // `bytesWritten` counts what is still held here, too.
    const untaken = socket.writableLength + (res.writableLength ?? 0);
    const now = socket.bytesWritten - socket.writableLength;
    if (untaken === 0 || now !== taken) {
      taken = now;
      since = performance.now();
    }
    if (untaken > MAX_UNTAKEN || performance.now() - since > 1000 * seconds) res.destroy();
  }, CHECK_MS);
  timer.unref();
  res.on("close", () => clearInterval(timer));
}
