// How long `nsa --help` takes against a bare Node, interleaved in one run.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { atMost, type Bench, describeMachine } from "@nsa/core";

const ROUNDS = 25;
const root = fileURLToPath(new URL("../../../", import.meta.url));

function milliseconds(args: readonly string[]): number {
  const from = performance.now();
  const run = spawnSync(process.execPath, args, {
    cwd: root,
    stdio: "ignore",
    env: { PATH: process.env.PATH },
  });
  if (run.status !== 0) throw new Error(`node ${args.join(" ")} ended with ${run.status}`);
  return performance.now() - from;
}

const median = (values: number[]) => values.toSorted((a, b) => a - b)[values.length >> 1]!;

export default {
  name: "cli-startup",
  about: "nsa --help against node -e 0, median of 25 interleaved rounds",
  async run() {
    const cases = {
      node: ["-e", "0"],
      bundle: ["packages/cli/dist/nsa.mjs", "--help"],
      script: ["scripts/nsa.mjs", "--help"],
    };
    const times: Record<keyof typeof cases, number[]> = { node: [], bundle: [], script: [] };
    for (const args of Object.values(cases)) milliseconds(args);
    for (let i = 0; i < ROUNDS; i++)
      for (const [name, args] of Object.entries(cases))
        times[name as keyof typeof cases].push(milliseconds(args));
    const [node, bundle, script] = [median(times.node), median(times.bundle), median(times.script)];
    return {
      name: "cli-startup",
      machine: describeMachine(),
      figures: { node_ms: node, nsa_help_ms: bundle, pnpm_nsa_help_ms: script },
      ratios: { nsa_help: bundle / node, pnpm_nsa_help: script / node },
      bars: [
        atMost("nsa --help / node -e 0", bundle / node, 1.6),
        atMost("scripts/nsa.mjs --help / node -e 0", script / node, 1.6),
      ],
    };
  },
} satisfies Bench;
