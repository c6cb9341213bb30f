// A process that takes each run folder that it is sent for a moment and answers from when to when, in nanoseconds.
import { setTimeout } from "node:timers/promises";
import { holdRun } from "../src/child/hold-run.ts";

process.on("message", async (dir: string) => {
  const held = await holdRun(dir, { patienceMs: 20_000 });
  const from = process.hrtime.bigint();
  await setTimeout(20);
  const to = process.hrtime.bigint();
  held?.[Symbol.dispose]();
  process.send!([String(from), String(to)]);
});
process.send!("ready");
