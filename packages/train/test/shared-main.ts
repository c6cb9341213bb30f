// One rank of the tests of shared masters and moments: trains tiny models by each optimizer and prints what became of them, as JSON.
import { Device, openRankPipes, singleRank } from "@nsa/kernels";
import { type ModelConfig, saveCheckpoint, Transformer } from "@nsa/model";
import { loadCheckpoint } from "../../model/src/checkpoint/checkpoint.ts";
import { CountingSource, tinyConfig } from "../../model/test/training-fixture.ts";
import { crossEntropy, shareOf, Trainer, type TrainerConfigInput } from "../src/index.ts";

export interface Plan {
  name: string;
  dtype: ModelConfig["dtype"];
  trainer: TrainerConfigInput;
  /** Steps to train, after those of `from`. */
  steps: number;
  /** Checkpoint to resume, and to write. */
  from?: string;
  to?: string;
}

const [rank, world, folder, plans] = process.argv.slice(2) as [string, string, string, string];
const place = { rank: Number(rank), world: Number(world), folder };
const collectives = world === "1" ? singleRank : openRankPipes(place, 777);
const device = Device.open("cpu", { threads: 1 });

async function train({ name, dtype, trainer: config, steps, from, to }: Plan) {
  const model = new Transformer(device, { ...tinyConfig, dtype });
  model.parameters.init(4);
  const trainer = new Trainer(model, 20, config, collectives, { bucketBytes: 4096, mayShare: true });
  const source = new CountingSource();
  const parts = { model, optimizer: trainer.optimizer, stateful: [trainer, source] };
  if (from) await loadCheckpoint(from, parts);
  const whole = {
    name: "source",
    prefetch: 0,
    save: () => source.save(),
    load: (state: unknown) => source.load(state as { cursor: number }),
    async *[Symbol.asyncIterator]() {
      for (;;) yield source.next();
    },
  };
  const figures: [number, number][] = [];
  for await (const step of shareOf(whole, collectives)) {
    if (figures.length === steps) break;
    const row = trainer.step(step, crossEntropy);
    figures.push([row["train/loss"]!, row["train/grad_norm"]!]);
  }
  if (to) {
    const write = () => saveCheckpoint(to, { ...parts, step: trainer.stepsDone });
    await trainer.saving(write);
    collectives.barrier();
  }
  const bytes = device
    .tenants()
    .filter(({ purpose }) => purpose === "moments" || purpose === "masters")
    .reduce((n, t) => n + t.bytes, 0);
  const weights = model.parameters.layout.weights.map(({ key }) => [
    key,
    [...model.parameters.weight(key).read()],
  ]);
  trainer.free();
  model.free();
  return [name, { figures, bytes, weights: Object.fromEntries(weights) }];
}

const out: unknown[] = [];
for (const plan of JSON.parse(plans) as Plan[]) out.push(await train(plan));
console.log(JSON.stringify(Object.fromEntries(out as [string, unknown][])));
