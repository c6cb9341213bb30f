// Scores of prompts of different lengths under a model whose probabilities are a table.
import { Device } from "@nsa/kernels";
import { afterAll, expect, test, vi } from "vitest";
import { scorePrompts } from "../src/index.ts";
import { bigramModel } from "./bigram-model.ts";

const cpu = Device.open("cpu", { threads: 1 });
afterAll(() => cpu.close());

test("prompts_are_scored_token_by_token_with_their_best_alternatives", () => {
  const model = bigramModel(cpu);
  const upload = vi.spyOn(model, "upload");
  const scored = scorePrompts(model, [[0, 1, 2], [3], [2, 3, 0, 1]], 2);
  const { tokens, cuSeqlens } = upload.mock.calls[0]![0];
  expect([...tokens]).toEqual([0, 1, 2, 3, 2, 3, 0, 1]);
  expect([...cuSeqlens]).toEqual([0, 3, 4, 8]);
  const bits = scored.map((p) => p.logp.map((x) => (x === null ? null : -x / Math.LN2)));
  const near = (...xs: number[]) => xs.map((x) => expect.closeTo(x, 5));
  // 0→1 and 1→2 cost 2 bits; 2→3 log₂(4/3), 3→0 and 0→1 2 bits. A first token has no score.
  expect(bits).toEqual([[null, ...near(2, 2)], [null], [null, ...near(Math.log2(4 / 3), 2, 2)]]);
  const top = scored.map((p) => p.top.map((t) => t?.map(({ id, logp }) => [id, Math.exp(logp)]) ?? null));
  const half = (id: number) => [id, expect.closeTo(0.5, 5)];
  const quarter = (id: number) => [id, expect.closeTo(0.25, 5)];
  expect(top).toEqual([
    [null, [half(0), quarter(1)], [half(1), quarter(2)]],
    [null],
    [
      null,
      [
        [3, expect.closeTo(0.75, 5)],
        [2, expect.closeTo(0.125, 5)],
      ],
      [quarter(0), quarter(1)],
      [half(0), quarter(1)],
    ],
  ]);
});
