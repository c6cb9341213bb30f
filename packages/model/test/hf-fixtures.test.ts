// Imported models give the logits of transformers; the folders come from make-hf-fixtures.py.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Device, linear, Tape } from "@nsa/kernels";
import { afterAll, expect } from "vitest";
import { needs } from "../../core/test/needs.ts";
import { importHuggingFace } from "../src/index.ts";

const device = Device.open("reference");
afterAll(() => device.close());

const root = process.env.NSA_HF_FIXTURES ?? join(import.meta.dirname, "fixtures/hf");
const names = existsSync(root) ? readdirSync(root) : [];

needs(names.length > 0, "no fixtures: run make-hf-fixtures.py where transformers is")(
  "imported_models_give_the_logits_of_transformers",
  () => {
    for (const name of names) {
      const { tokens, logits } = JSON.parse(readFileSync(join(root, name, "logits.json"), "utf8"));
      const model = importHuggingFace(device, join(root, name));
      using _ = device.scope();
      const tape = new Tape(false);
      const batch = model.upload({
        tokens: Int32Array.from(tokens),
        cuSeqlens: Int32Array.of(0, tokens.length),
      });
      const mine = linear(tape, model.forward(tape, batch), model.headWeight).read();
      const theirs: number[] = logits.flat();
      expect(theirs).toHaveLength(mine.length);
      const gap = Math.max(...theirs.map((x, i) => Math.abs(x - mine[i]!)));
      const size = Math.max(...theirs.map(Math.abs));
      expect(gap / size, name).toBeLessThan(1e-4);
    }
  },
);
