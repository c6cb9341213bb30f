// One rank of the data-parallel tests: trains a few steps and prints a few weights' worth of JSON.
import { Device, openRankPipes, singleRank } from "@nsa/kernels";
import { Transformer } from "@nsa/model";
import { CountingSource, tinyConfig } from "../../model/test/training-fixture.ts";
import { crossEntropy, shareOf, Trainer } from "../src/index.ts";

const [rank, world, folder, dieAt] = process.argv.slice(2);
const collectives =
  world === "1"
    ? singleRank
    : openRankPipes({ rank: Number(rank), world: Number(world), folder: folder! }, 777);
const device = Device.open("cpu", { threads: 1 });
const model = new Transformer(device, tinyConfig);
model.parameters.init(4);
const trainer = new Trainer(model, 20, {}, collectives, { bucketBytes: 4096 });
const source = new CountingSource();
const whole = {
  name: "source",
  prefetch: 0,
  save: () => source.save(),
  load: (state: unknown) => source.load(state as { cursor: number }),
  async *[Symbol.asyncIterator]() {
    for (;;) yield source.next();
  },
};
const losses: number[] = [];
for await (const step of shareOf(whole, collectives)) {
  if (String(trainer.stepsDone) === dieAt) process.kill(process.pid, "SIGKILL");
  losses.push(trainer.step(step, crossEntropy)["train/loss"]!);
  if (losses.length === 6) break;
}
console.log(JSON.stringify({ losses, weights: Array.from(model.parameters.flat.read()) }));
