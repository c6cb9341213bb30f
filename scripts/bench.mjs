// `pnpm bench` lists the benchmarks; `pnpm bench <name> [--json] [--data folder]` builds what is stale and runs one. `--data` is
// the folder of real data (otherwise $NSA_DATA); what is not there ends with exit 4 and the reason.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { must, root } from "./lib.mjs";

const files = readdirSync(join(root, "packages"))
  .map((name) => join(root, "packages", name, "bench"))
  .filter((dir) => existsSync(dir))
  .flatMap((dir) =>
    readdirSync(dir)
      .filter((f) => f.endsWith(".ts"))
      .map((f) => [f.slice(0, -3), join(dir, f)]),
  );
const names = new Map(files);
const [wanted, ...rest] = process.argv.slice(2).filter((a) => a !== "--");

if (!wanted || wanted.startsWith("-")) {
  console.log([...names.keys()].sort().join("\n"));
  process.exit(0);
}
const file = names.get(wanted);
if (!file) {
  console.error(
    `no benchmark "${wanted}"\nthere are: ${[...names.keys()].sort().join(", ")}\nrun \`pnpm bench\` to list them`,
  );
  process.exit(2);
}
must("node", ["scripts/setup.mjs"], { stdio: ["ignore", "ignore", "inherit"] });
const body = `
  const bench = (await import(${JSON.stringify(file)})).default;
  const result = await bench.run().catch((error) => {
    if (!error.exitCode) throw error;
    console.error("error: " + error.what + ": " + error.why + "\\nfix: " + error.fix);
    process.exit(error.exitCode);
  });
  if (!${rest.includes("--json")}) {
    console.log(result.machine);
    console.table(result.figures);
    for (const b of result.bars) console.log((b.pass ? "pass " : "FALLS SHORT ") + b.what + ": " + b.value + " (bar " + b.bar + ")");
  }
  console.log(JSON.stringify(result));
  process.exit(result.bars.every((b) => b.pass) ? 0 : 1);`;
const data = rest.indexOf("--data");
if (data >= 0 && rest[data + 1] === undefined) {
  console.error("--data needs a folder");
  process.exit(2);
}
const where = data < 0 ? {} : { NSA_DATA: resolve(process.env.INIT_CWD ?? process.cwd(), rest[data + 1]) };
const run = spawnSync(
  process.execPath,
  ["--conditions=nsa-source", "--import", import.meta.resolve("tsx"), "--input-type=module", "-e", body],
  { cwd: root, stdio: "inherit", env: { ...process.env, ...where, NSA_BENCH_ARGS: JSON.stringify(rest) } },
);
process.exit(run.status ?? 1);
