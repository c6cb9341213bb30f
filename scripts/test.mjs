// `npm test`: sets up, checks types, format, lint, dead exports, and runs the suite; the last line counts what ran.
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { attempt, has, must, root } from "./lib.mjs";

must("node", ["scripts/setup.mjs"]);
let failed = 0;
let passed = 0;
const step = (name, command, args) => {
  const ok = attempt(command, args) === 0;
  console.log(`${ok ? "ok" : "FAILED"}: ${name}`);
  if (ok) passed++;
  else failed++;
};
const bin = (name) => join(root, "node_modules", ".bin", name);
// Minutes where the sources of the plugin changed, a second where they did not.
if (has("nvcc")) step("CUDA plugin", "node", ["scripts/build-native.mjs", "--cuda"]);
step("types", bin("tsc"), ["-p", "tsconfig.json"]);
step("format and lint", bin("biome"), ["check", "--diagnostic-level=error", "."]);
step("dead exports", bin("knip"), ["--no-progress", "--no-config-hints"]);

mkdirSync(join(root, "build"), { recursive: true });
const report = join(root, "build", "vitest.json");
const suite = spawnSync(
  bin("vitest"),
  ["run", "--reporter=default", "--reporter=json", `--outputFile.json=${report}`],
  { cwd: root, stdio: "inherit" },
);
let skipped = 0;
try {
  const result = JSON.parse(readFileSync(report, "utf8"));
  passed += result.numPassedTests;
  failed +=
    result.numFailedTests +
    result.testResults.filter((f) => f.status === "failed" && f.assertionResults.length === 0).length;
  skipped = result.numPendingTests + result.numTodoTests;
  for (const file of result.testResults) {
    for (const test of file.assertionResults) {
      if (test.status === "pending" || test.status === "skipped")
        console.log(`skipped: ${test.fullName}: ${test.meta?.needs ?? "no reason given"}`);
    }
  }
} catch {
  failed++;
}
if (suite.status !== 0 && failed === 0) failed++;
console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
process.exit(failed === 0 ? 0 : 1);
