// The tester of ops from the command line: --mode test|grad|perf|support --device cpu|cuda|reference [--op name]
// [--seconds n: the smallest cases first, and none begun after so long].
import { parseArgs } from "node:util";
import { Device, type DeviceName, type FloatDtype } from "../../src/index.ts";
import { gradCases } from "./cases/grad.ts";
import { cases } from "./cases/index.ts";
import { check } from "./compare.ts";
import { gradErrors } from "./grad.ts";
import { rate, support } from "./perf.ts";

const { values } = parseArgs({
  options: {
    mode: { type: "string", default: "test" },
    device: { type: "string", default: "cpu" },
    op: { type: "string" },
    threads: { type: "string", default: "0" },
    seconds: { type: "string" },
  },
});

const device = Device.open(values.device as DeviceName, { threads: Number(values.threads) });
const reference = Device.open("reference");
const chosen = cases.filter(
  (c) => (!values.op || c.op === values.op) && (values.mode === "perf" || !c.perfOnly),
);
let failed = 0;
if (values.seconds) {
  const size = (c: (typeof cases)[number]) =>
    Object.values(c.buffers).reduce((n, b) => n + b.shape.reduce((x, y) => x * y, 1), 0);
  chosen.sort((a, b) => size(a) - size(b));
}
const until = performance.now() + 1000 * Number(values.seconds ?? Number.POSITIVE_INFINITY);

function each(body: (c: (typeof cases)[number], dtype: FloatDtype, label: string) => string) {
  for (const c of chosen) {
    if (performance.now() > until) break;
    for (const dtype of c.dtypes ?? (["f32", "bf16"] as const)) {
      const label = `${c.op} [${c.name}] ${dtype}`;
      console.log(`${label.padEnd(52)} ${body(c, dtype, label)}`);
    }
  }
}

switch (values.mode) {
  case "test":
    each((c, dtype) => {
      const faults = check(c, dtype, device, reference);
      failed += faults.length ? 1 : 0;
      return faults.length ? `FAIL ${faults.join("; ")}` : "ok";
    });
    break;
  case "grad":
    for (const c of gradCases.filter((g) => !values.op || g.name.includes(values.op))) {
      for (const [name, error] of Object.entries(gradErrors(c, reference))) {
        failed += error <= 1e-6 ? 0 : 1;
        console.log(
          `${`${c.name} d${name}`.padEnd(52)} ${error.toExponential(2)} ${error <= 1e-6 ? "ok" : "FAIL"}`,
        );
      }
    }
    break;
  case "perf":
    each((c, dtype) => {
      if (!c.perfOnly) return "-";
      const { ms, value, unit } = rate(c, dtype, device);
      return `${ms.toFixed(3).padStart(10)} ms ${value.toFixed(1).padStart(8)} ${unit}`;
    });
    break;
  case "support":
    each((c, dtype) => support(c, dtype, device));
    break;
  default:
    console.error(`unknown mode ${values.mode}; use test, grad, perf or support`);
    failed = 1;
}
device.close();
reference.close();
process.exitCode = failed ? 1 : 0;
