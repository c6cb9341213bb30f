// Inputs for fuzzing: half made by the grammar of the target, half by mutation of such inputs. All by a seed.
import { Rng } from "@nsa/core";

/** Draws of one input. */
export class Draw {
  private n = 0;

  constructor(
    private readonly rng: Rng,
    private readonly input: number,
  ) {}

  /** A whole number below `bound`. */
  below(bound: number): number {
    return Math.floor(this.rng.uniform(this.input, this.n++) * bound);
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }

  chance(share: number): boolean {
    return this.rng.uniform(this.input, this.n++) < share;
  }

  /** Up to `most` of what `make` gives. */
  many<T>(most: number, make: () => T): T[] {
    return Array.from({ length: this.below(most + 1) }, make);
  }
}

/** Bytes and texts at which readers turn wrong. */
const SPECIAL = [
  "\0",
  "\u00ff\u00ff\u00ff\u00ff",
  "-1",
  "NaN",
  "1e999",
  "9007199254740993",
  "4294967296",
  "{",
  "[",
  '"',
  "\\",
  "\u202e",
  "\ud800",
  "\r\n\r\n",
  "<",
  "&#x110000;",
  "%",
  "$",
  "*".repeat(300),
  " ".repeat(300),
  "(".repeat(300),
];

/** One to eight changes: a flipped bit, a piece lost, doubled or replaced, something special, a piece of another input. */
export function mutate(input: Buffer, draw: Draw, other: Buffer): Buffer {
  let bytes = Buffer.from(input);
  for (let n = 1 + draw.below(8); n > 0; n--) {
    const at = draw.below(bytes.length + 1);
    const end = Math.min(bytes.length, at + 1 + draw.below(1 << draw.below(8)));
    const piece = bytes.subarray(at, end);
    const joined = (...middle: Uint8Array[]) =>
      Buffer.concat([bytes.subarray(0, at), ...middle, bytes.subarray(end)]);
    switch (draw.below(6)) {
      case 0:
        if (at < bytes.length) bytes[at]! ^= 1 << draw.below(8);
        break;
      case 1:
        bytes = joined();
        break;
      case 2:
        bytes = joined(...Array.from({ length: 1 + draw.below(40) }, () => piece));
        break;
      case 3:
        bytes = joined(Buffer.from(draw.pick(SPECIAL)));
        break;
      case 4:
        bytes = joined(Buffer.from([draw.below(256), draw.below(256), draw.below(256)]));
        break;
      default:
        bytes = joined(other.subarray(draw.below(other.length), draw.below(other.length)));
    }
    if (bytes.length > 1 << 16) bytes = bytes.subarray(0, 1 << 16);
  }
  return bytes;
}

/** The n-th input of a target: built for even numbers, a mutation of a built one for odd ones. */
export function inputOf(build: (draw: Draw) => Buffer, seed: number, n: number): Buffer {
  const draw = new Draw(new Rng(seed, 101), n);
  const made = build(draw);
  return n % 2 === 0 ? made : mutate(made, draw, build(draw));
}
