// The fingerprint of a tensor's bits: its definition written out, and that each bit and the order of elements count.
import { afterAll, expect, test } from "vitest";
import { Device, fingerprint } from "../src/index.ts";

const devices = [Device.open("cpu", { threads: 2 }), Device.open("reference")];
afterAll(() => {
  for (const device of devices) device.close();
});

const MASK = (1n << 64n) - 1n;

/** SplitMix64 of each element's bits at its place, summed. */
function byDefinition(bits: readonly bigint[]): string {
  let sum = 0n;
  for (const [i, b] of bits.entries()) {
    let z = (b + BigInt(i + 1) * 0x9e3779b97f4a7c15n) & MASK;
    z = ((z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n) & MASK;
    z = ((z ^ (z >> 27n)) * 0x94d049bb133111ebn) & MASK;
    sum = (sum + (z ^ (z >> 31n))) & MASK;
  }
  return sum.toString(16).padStart(16, "0");
}

function of(values: ArrayLike<number>, dtype: "f32" | "f64" | "bf16" | "i32" | "u8"): string[] {
  return devices.map((device) => {
    using _ = device.scope();
    return fingerprint(device.from(values, [values.length], dtype));
  });
}

test("it_is_the_sum_of_the_elements_mixed_with_their_places", () => {
  const both = (x: string) => [x, x];
  const f32 = new Float32Array([1, -0.5, 3e9]);
  expect(of(f32, "f32")).toEqual(both(byDefinition([...new Uint32Array(f32.buffer)].map(BigInt))));
  const f64 = new Float64Array([0.1, -2]);
  expect(of(f64, "f64")).toEqual(both(byDefinition([...new BigUint64Array(f64.buffer)])));
  // bf16 of 1 and −2.
  expect(of([1, -2], "bf16")).toEqual(both(byDefinition([0x3f80n, 0xc000n])));
  expect(of([-1, 7], "i32")).toEqual(both(byDefinition([0xffffffffn, 7n])));
  expect(of([255, 0], "u8")).toEqual(both(byDefinition([255n, 0n])));
  expect(of([], "f32")).toEqual(both("0".repeat(16)));
});

test("a_single_bit_the_sign_of_zero_and_an_exchange_show", () => {
  const x = Float32Array.from({ length: 100_000 }, (_, i) => Math.sin(i));
  const [own] = of(x, "f32");
  const changed = (change: (bits: Uint32Array) => void) => {
    const y = x.slice();
    change(new Uint32Array(y.buffer));
    return of(y, "f32")[0];
  };
  expect(changed(() => {})).toBe(own);
  const others = [
    changed((bits) => {
      bits[77_777]! ^= 1;
    }),
    changed((bits) => {
      bits[0] = 0x80000000;
    }),
    changed((bits) => bits.set([bits[4]!, bits[3]!], 3)),
  ];
  expect(new Set([own, ...others]).size).toBe(4);
});
