// NSA on the reference backend against a second, naive implementation, and its gradients against differences.
import { afterAll, describe, expect, test } from "vitest";
import { Device, type NsaInputs, nsaAttention, packDocuments, Tape, type Tensor } from "../src/index.ts";
import { type NaiveConfig, naiveNsa } from "./naive-nsa.ts";
import { deviceInputs, naiveInputs, noise, nsaConfig, sliceInputs } from "./nsa-fixture.ts";

const device = Device.open("reference");
afterAll(() => device.close());

const small: NaiveConfig = { H: 4, G: 2, K: 4, V: 3, l: 4, d: 2, lp: 4, n: 3, w: 5 };
const cases: Record<string, { T: number; phi: "mean" | "weighted" | "mlp"; c: NaiveConfig }> = {
  mean: { T: 33, phi: "mean", c: small },
  weighted: { T: 33, phi: "weighted", c: small },
  mlp: { T: 33, phi: "mlp", c: small },
  "T shorter than a compressed block": { T: 3, phi: "mlp", c: small },
  "T not a multiple of the selection block": { T: 29, phi: "mlp", c: { ...small, l: 8, d: 4, lp: 8 } },
  "more selected blocks than there are": { T: 21, phi: "mean", c: { ...small, n: 16 } },
  "one query": { T: 1, phi: "mlp", c: small },
  "selection blocks four strides wide": { T: 40, phi: "mean", c: { ...small, l: 4, d: 2, lp: 8, n: 4 } },
  "compressed blocks wider than selection blocks": { T: 40, phi: "mean", c: { ...small, l: 8, d: 2, lp: 4 } },
  "blocks that do not overlap": { T: 40, phi: "weighted", c: { ...small, l: 4, d: 4, lp: 8 } },
};
for (const group of [1, 2, 4, 8, 16]) {
  cases[`groups of ${group}`] = { T: 26, phi: "mlp", c: { ...small, H: 2 * group } };
}

function run(x: NsaInputs, borders: number[], c: NaiveConfig, selected?: Tensor, tape = new Tape(false)) {
  const docs = packDocuments(device, borders, { blockSize: c.l, stride: c.d });
  return nsaAttention(tape, x, docs, nsaConfig(c), { selected });
}

describe("composite_equals_the_naive_implementation", () => {
  for (const [name, { T, phi, c }] of Object.entries(cases)) {
    test(name, () => {
      using _ = device.scope();
      const x = naiveInputs(T, c, phi, 7);
      const { o, selected } = run(deviceInputs(device, x, T, c, "f64"), [0, T], c);
      const want = naiveNsa(x, T, c);
      const idx = selected.read();
      const padded = want.selected
        .flat()
        .map((chosen) => Array.from({ length: c.n }, (_, i) => chosen[i] ?? -1));
      expect([...idx]).toEqual(padded.flat());
      const got = o.read();
      for (let i = 0; i < got.length; i++) expect(got[i]).toBeCloseTo(want.o[i]!, 11);
    });
  }
});

test("packed_documents_equal_each_document_alone", () => {
  using _ = device.scope();
  const borders = [0, 3, 20, 21, 45];
  const T = 45;
  const x = naiveInputs(T, small, "mlp", 11);
  const packed = run(deviceInputs(device, x, T, small, "f64"), borders, small);
  const o = packed.o.read();
  const width = small.H * small.V;
  for (let i = 0; i + 1 < borders.length; i++) {
    const [from, to] = [borders[i]!, borders[i + 1]!];
    const part = sliceInputs(x, T, from, to);
    const alone = run(deviceInputs(device, part, to - from, small, "f64", T), [0, to - from], small);
    expect([...o.slice(from * width, to * width)]).toEqual([...alone.o.read()]);
  }
});

describe("gradients_equal_central_differences_with_frozen_indices", () => {
  for (const [name, { T, phi, c }] of Object.entries(cases)) {
    test(name, () => {
      using _ = device.scope();
      const borders = T > 20 ? [0, 7, T] : [0, T];
      const x = deviceInputs(device, naiveInputs(T, c, phi, 3), T, c, "f64");
      const { selected } = run(x, borders, c);
      const tape = new Tape();
      const { o } = run(x, borders, c, selected, tape);
      const next = noise(5);
      const weights = Float64Array.from({ length: o.numel }, next);
      tape.backward([[o, device.from(weights, o.shape, "f64")]]);

      const loss = () => {
        using _ = device.scope();
        return run(x, borders, c, selected)
          .o.read()
          .reduce((sum, y, i) => sum + y * weights[i]!, 0);
      };
      const phis = { phiK: x.phiK, phiV: x.phiV } as Record<string, object>;
      const leaves: [string, Tensor][] = Object.entries(x).filter(
        ([key]) => !(key in phis) && key !== "rope",
      );
      for (const [key, value] of Object.entries(phis)) {
        for (const [part, t] of Object.entries(value))
          if (part !== "kind") leaves.push([`${key}.${part}`, t]);
      }
      for (const [key, leaf] of leaves) {
        const values = leaf.read();
        const grad = leaf.grad?.read() ?? new Float64Array(values.length);
        let [wrong, size] = [0, 0];
        for (let s = 0; s < 6; s++) {
          const i = Math.floor(((next() / 1.7 + 1) / 2) * values.length) % values.length;
          const h = 1e-5;
          leaf.write([values[i]! + h], i);
          const up = loss();
          leaf.write([values[i]! - h], i);
          const down = loss();
          leaf.write([values[i]!], i);
          wrong += (grad[i]! - (up - down) / (2 * h)) ** 2;
          size += grad[i]! ** 2;
        }
        expect(Math.sqrt(wrong), key).toBeLessThanOrEqual(1e-6 * Math.sqrt(size) + 1e-9);
      }
    });
  }
});
