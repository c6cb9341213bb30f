// Counter-based randomness: Philox4x32-10 (Salmon et al., 2011), the same bits in TypeScript, CPU and CUDA code.
//
// key = (seed lo, seed hi); counter = (c0 stream, c1 request or step, c2 position, c3 lane).

const M0 = 0xd2511f53;
const M1 = 0xcd9e8d57;
const W0 = 0x9e3779b9;
const W1 = 0xbb67ae85;

/** High 32 bits of the 64-bit product of two unsigned 32-bit numbers. */
function mulhi(a: number, b: number): number {
  const al = a & 0xffff;
  const ah = a >>> 16;
  const bl = b & 0xffff;
  const bh = b >>> 16;
  const mid = ah * bl + ((al * bl) >>> 16);
  const low = al * bh + (mid & 0xffff);
  return (ah * bh + Math.floor(mid / 0x10000) + Math.floor(low / 0x10000)) >>> 0;
}

/** Ten rounds over `out` (the counter on entry, the random words on return). */
function rounds(out: Uint32Array, k0: number, k1: number): void {
  let c0 = out[0]!;
  let c1 = out[1]!;
  let c2 = out[2]!;
  let c3 = out[3]!;
  for (let round = 0; round < 10; round++) {
    const hi0 = mulhi(M0, c0);
    const lo0 = Math.imul(M0, c0) >>> 0;
    const hi1 = mulhi(M1, c2);
    const lo1 = Math.imul(M1, c2) >>> 0;
    c0 = (hi1 ^ c1 ^ k0) >>> 0;
    c1 = lo1;
    c2 = (hi0 ^ c3 ^ k1) >>> 0;
    c3 = lo0;
    k0 = (k0 + W0) >>> 0;
    k1 = (k1 + W1) >>> 0;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

function splitSeed(seed: bigint | number): [number, number] {
  const wide = BigInt.asUintN(64, BigInt(seed));
  return [Number(wide & 0xffffffffn), Number(wide >> 32n)];
}

/**
 * Philox4x32-10.
 * @param seed the 64-bit key
 * @param counter [stream, request or step, position, lane], each an unsigned 32-bit number
 * @returns four random 32-bit words
 */
export function philox4x32(
  seed: bigint | number,
  counter: readonly [number, number, number, number],
): Uint32Array {
  const [k0, k1] = splitSeed(seed);
  const out = Uint32Array.of(...counter);
  rounds(out, k0, k1);
  return out;
}

/** Maps a random word to the open interval (0, 1), in double precision. */
export function uniformOf(word: number): number {
  return (word + 0.5) * 2 ** -32;
}

/** Standard normal from two random words (Box–Muller, cosine branch). */
export function normalOf(word0: number, word1: number): number {
  return Math.sqrt(-2 * Math.log(uniformOf(word0))) * Math.cos(2 * Math.PI * uniformOf(word1));
}

/** Random numbers of one stream. Calls with coordinates are pure; `int(n)` alone advances `cursor`. */
export class Rng {
  /** Draws taken by sequential calls; save and restore it to continue a sequence. */
  cursor = 0;
  readonly #k0: number;
  readonly #k1: number;
  readonly #stream: number;
  readonly #words = new Uint32Array(4);

  constructor(seed: bigint | number, stream: number) {
    [this.#k0, this.#k1] = splitSeed(seed);
    this.#stream = stream >>> 0;
  }

  #draw(step: number, position: number, lane: number): Uint32Array {
    const words = this.#words;
    words[0] = this.#stream;
    words[1] = step;
    words[2] = position;
    words[3] = lane;
    rounds(words, this.#k0, this.#k1);
    return words;
  }

  /** Uniform in (0, 1) at a coordinate. */
  uniform(step: number, position: number, lane = 0): number {
    return uniformOf(this.#draw(step, position, lane)[0]!);
  }

  /** Standard normal at a coordinate. */
  normal(step: number, position: number, lane = 0): number {
    const words = this.#draw(step, position, lane);
    return normalOf(words[0]!, words[1]!);
  }

  /** Unbiased integer in [0, n), 1 ≤ n ≤ 2^32 (Lemire's rejection); without a coordinate, the next of the sequence. */
  int(n: number, step = 0xffffffff, position = this.cursor++): number {
    const reject = 2 ** 32 % n;
    for (let lane = 0; ; lane++) {
      const words = this.#draw(step, position, lane);
      for (let i = 0; i < 4; i++) {
        const word = words[i]!;
        if (n === 2 ** 32) return word;
        if (Math.imul(word, n) >>> 0 >= reject) return mulhi(word, n);
      }
    }
  }

  /** A permutation of 0 … n−1 (Fisher–Yates), the same for the same (seed, stream, epoch). */
  permutation(n: number, epoch = 0): Uint32Array {
    const order = Uint32Array.from({ length: n }, (_, i) => i);
    for (let i = n - 1; i > 0; i--) {
      const j = this.int(i + 1, epoch, i);
      const swap = order[i]!;
      order[i] = order[j]!;
      order[j] = swap;
    }
    return order;
  }

  /** A shuffled copy of `items`. */
  shuffle<T>(items: readonly T[], epoch = 0): T[] {
    return Array.from(this.permutation(items.length, epoch), (i) => items[i]!);
  }
}
