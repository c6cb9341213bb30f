// The text of an output as it grows: whole characters, never a stop string or what may become one.
import type { Tokenizer } from "@nsa/data";

export class OutputText {
  /** Everything that was let out. */
  text = "";
  private held = "";
  private ended = false;
  private readonly decoder: { push(id: number): string; end(): string };

  constructor(
    tokenizer: Tokenizer,
    private readonly stops: readonly string[],
  ) {
    this.decoder = tokenizer.stream();
  }

  /** New text that is certain to stay. */
  push(id: number): string {
    return this.ended ? "" : this.take(this.decoder.push(id), false);
  }

  /** What was held back, when the output ends. */
  end(): string {
    return this.ended ? "" : this.take(this.decoder.end(), true);
  }

  private take(more: string, last: boolean): string {
    const all = this.held + more;
    const at = Math.min(
      ...this.stops.map((s) => all.indexOf(s)).filter((i) => i >= 0),
      Number.POSITIVE_INFINITY,
    );
    this.ended = last || Number.isFinite(at);
    const sure = this.ended ? Math.min(at, all.length) : all.length - this.overlap(all);
    this.held = all.slice(sure);
    const out = all.slice(0, sure);
    this.text += out;
    return out;
  }

  /** Characters at the end of the text that begin a stop string. */
  private overlap(text: string): number {
    let most = 0;
    for (const stop of this.stops) {
      for (let n = Math.min(stop.length - 1, text.length); n > most; n--) {
        if (stop.startsWith(text.slice(-n))) most = n;
      }
    }
    return most;
  }
}
