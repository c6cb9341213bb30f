// `pnpm test:gpu`: the kernel and model tests with the CUDA backend in the CPU's place; --sanitize adds compute-sanitizer.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { has, must, root } from "./lib.mjs";

const words = process.argv.slice(2).filter((a) => a !== "--");
const sanitize = words.includes("--sanitize");
const chosen = words.filter((w) => !w.startsWith("--"));
must("node", ["scripts/setup.mjs"]);
if (!existsSync(join(root, "BUNDLE"))) must("node", ["scripts/build-native.mjs", "--cuda"]);

const env = { ...process.env, NSA_TEST_DEVICE: "cuda" };
const files = chosen.length ? chosen : ["packages/kernels/test", "packages/model/test"];
const report = join(root, "build", "vitest-gpu.json");
mkdirSync(join(root, "build"), { recursive: true });
const vitest = join(root, "node_modules/vitest/vitest.mjs");
const reporters = ["--reporter=dot", "--reporter=json", `--outputFile.json=${report}`];
spawnSync(process.execPath, [vitest, "run", ...reporters, ...files], { cwd: root, stdio: "inherit", env });

let [passed, failed, skipped] = [0, 0, 0];
try {
  const result = JSON.parse(readFileSync(report, "utf8"));
  passed = result.numPassedTests;
  failed = result.numFailedTests;
  skipped = result.numPendingTests + result.numTodoTests;
  for (const file of result.testResults) {
    if (file.status === "failed" && file.assertionResults.length === 0) {
      failed++;
      console.log(`failed: ${file.name}: ${file.message}`);
    }
    for (const t of file.assertionResults) {
      if (t.status === "failed")
        console.log(`failed: ${t.fullName}: ${String(t.failureMessages?.[0]).split("\n")[0].slice(0, 300)}`);
      if (t.status === "pending" || t.status === "skipped")
        console.log(`skipped: ${t.fullName}: ${t.meta?.needs ?? "no reason given"}`);
    }
  }
} catch (cause) {
  console.log(`no report: ${cause.message}`);
  failed++;
}

if (sanitize && has("compute-sanitizer")) {
  const tester = [
    "--conditions=nsa-source",
    "--import",
    "tsx",
    join(root, "packages/kernels/test/backend-ops/main.ts"),
    "--mode",
    "test",
    "--device",
    "cuda",
  ];
  for (const tool of ["memcheck", "racecheck"]) {
    const flags = ["--tool", tool, "--error-exitcode", "9", "--target-processes", "application-only"];
    const run = spawnSync("compute-sanitizer", [...flags, process.execPath, ...tester], {
      cwd: root,
      encoding: "utf8",
      env,
    });
    const ok = run.status === 0;
    console.log(`${ok ? "ok" : "FAILED"}: compute-sanitizer ${tool}`);
    if (!ok)
      console.log(
        `${run.stdout}${run.stderr}`
          .split("\n")
          .filter((l) => l.includes("=====") || l.includes("FAIL"))
          .slice(0, 40)
          .join("\n"),
      );
    if (ok) passed++;
    else failed++;
  }
}
console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
process.exit(failed === 0 ? 0 : 1);
