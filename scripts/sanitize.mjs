// compute-sanitizer over the ops: memcheck and racecheck on the tester's cases, smallest first, for as long as there is time.
import { spawnSync } from "node:child_process";
import { createRequire } from "node:module";
import { join } from "node:path";
import { root } from "./lib.mjs";

/** Seconds in which new cases are begun, and after which a tool is ended. */
const BEGIN = 55;
const END = 240;

/** The tester as one plain JavaScript file: under the sanitizer a process should start fast and have no children. */
async function bundleTester() {
  const require = createRequire(import.meta.url);
  const { build } = await import(createRequire(require.resolve("tsx")).resolve("esbuild"));
  const outfile = join(root, "build", "backend-ops.mjs");
  await build({
    entryPoints: [join(root, "packages/kernels/test/backend-ops/main.ts")],
    outfile,
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20",
    conditions: ["nsa-source"],
    // CommonJS inside an ES module asks for require.
    banner: {
      js: 'import { createRequire as requireOf } from "node:module"; const require = requireOf(import.meta.url);',
    },
    logLevel: "error",
  });
  return outfile;
}

/** Runs both tools; returns how many passed and failed. */
export async function sanitize() {
  const tester = [await bundleTester(), "--mode", "test", "--device", "cuda", "--seconds", String(BEGIN)];
  const counts = { passed: 0, failed: 0 };
  for (const tool of ["memcheck", "racecheck"]) {
    // The driver starts late in a Node process, and by then the default patience is over.
    const flags = [
      "--tool",
      tool,
      "--error-exitcode",
      "9",
      "--target-processes",
      "all",
      "--launch-timeout",
      "60",
    ];
    const run = spawnSync("compute-sanitizer", [...flags, process.execPath, ...tester], {
      cwd: root,
      encoding: "utf8",
      // Kernels of a library are not ours to mend, and its own pipelines are reported as races.
      // Kernels then arrive at barriers lane by lane, which racecheck follows.
      env: tool === "racecheck" ? { ...process.env, NSA_CUBLASLT: "none", NSA_RACECHECK: "1" } : process.env,
      timeout: END * 1000,
      maxBuffer: 2 ** 28,
    });
    const lines = `${run.stdout ?? ""}\n${run.stderr ?? run.error?.message}`.split("\n");
    const cases = lines.filter((l) => l.endsWith(" ok")).length;
    const ok = run.status === 0 && cases > 0;
    const late = run.error?.code === "ETIMEDOUT" ? `, ended after ${END} s` : "";
    console.log(`${ok ? "ok" : "FAILED"}: compute-sanitizer ${tool}, ${cases} cases${late}`);
    if (!ok) {
      const telling = lines.filter((l) => l.includes("=====") || l.includes("FAIL"));
      // One line for each place in the sources, however often it was met.
      const places = new Set(telling.map((l) => /in (\S+\.(cu|h):\d+)/.exec(l)?.[1] ?? l));
      console.log([...(telling.length ? places : lines)].slice(0, 40).join("\n"));
    }
    counts[ok ? "passed" : "failed"]++;
  }
  return counts;
}
