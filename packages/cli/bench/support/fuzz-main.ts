// A process that reads inputs of one target: node fuzz-main.ts <target> <seed> <first> <folder>. It prints a line when it begins an
// input, and one for each fault.
import { NsaError } from "@nsa/core";
import { inputOf } from "./fuzz/inputs.ts";
import { fuzzTargets } from "./fuzz/targets.ts";

const [name, seed, first, folder] = process.argv.slice(2) as [string, string, string, string];
const target = fuzzTargets[name]!;
const print = (line: object) => process.stdout.write(`${JSON.stringify(line)}\n`);

const WARM = 20;
for (let n = Number(first); ; n++) {
  const input = inputOf(target.build, Number(seed), n);
  print({ n, rss: process.memoryUsage.rss() });
  const from = process.cpuUsage();
  try {
    await target.read(input, folder);
  } catch (error) {
    if (!(error instanceof NsaError) || error.exitCode === 1)
      print({ n, fault: `raw error: ${(error as Error)?.stack ?? error}`.slice(0, 600) });
  }
  const { user, system } = process.cpuUsage(from);
  const ms = (user + system) / 1000;
  // The first inputs pay for compiling what they run.
  if (ms > target.limitMs && n - Number(first) > WARM)
    print({ n, fault: `took ${ms.toFixed(0)} ms of the processor` });
  await new Promise((resolve) => setImmediate(resolve));
}
