// A byte stream of which as much is held as a reader asks for, with the gaps where bytes of it are lost.
import { Gap } from "./members.ts";

/** A growing window over a byte stream. */
export class Window {
  buffer: Buffer = Buffer.alloc(0);
  at = 0;
  /** Stream offset of buffer[0]. */
  base = 0;
  ended = false;
  /** Lost bytes behind those that are held: nothing beyond is read until `cross`. */
  gap: Gap | undefined;
  constructor(private source: AsyncIterator<Uint8Array | Gap>) {}

  get offset(): number {
    return this.base + this.at;
  }
  get left(): number {
    return this.buffer.length - this.at;
  }
  /** Makes at least n bytes available unless the stream ends first. */
  async need(n: number): Promise<boolean> {
    if (this.left >= n) return true;
    const parts: Uint8Array[] = [this.buffer.subarray(this.at)];
    let have = this.left;
    while (have < n && !this.ended && !this.gap) {
      const next = await this.source.next();
      if (next.done) this.ended = true;
      else if (next.value instanceof Gap) this.gap = next.value;
      else {
        parts.push(next.value);
        have += next.value.length;
      }
    }
    this.base += this.at;
    this.at = 0;
    this.buffer = parts.length === 1 ? Buffer.from(parts[0]!) : Buffer.concat(parts, have);
    return have >= n;
  }
  /** Drops what is held before the gap, and reads on behind it. */
  cross(): void {
    this.at = this.buffer.length;
    this.gap = undefined;
  }
  /** Skips n bytes without holding them; false when the stream ends first. */
  async skip(n: number): Promise<boolean> {
    let rest = n;
    for (;;) {
      const step = Math.min(rest, this.left);
      this.at += step;
      rest -= step;
      if (rest === 0) return true;
      if (!(await this.need(1))) return false;
    }
  }
}
