// `pnpm test:gpu`: the kernel and model tests with the CUDA backend in the CPU's place; --sanitize adds compute-sanitizer
// (--sanitize-only: nothing else).
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { has, must, root } from "./lib.mjs";
import { sanitize } from "./sanitize.mjs";

const words = process.argv.slice(2).filter((a) => a !== "--");
const only = words.includes("--sanitize-only");
const chosen = words.filter((w) => !w.startsWith("--"));
must("node", ["scripts/setup.mjs"]);
if (!existsSync(join(root, "BUNDLE"))) must("node", ["scripts/build-native.mjs", "--cuda"]);

const env = { ...process.env, NSA_TEST_DEVICE: "cuda" };
/** Whether a test file opens the device of NSA_TEST_DEVICE, by itself or by a helper beside it. */
function opensDevice(file, seen = new Set()) {
  if (seen.has(file) || !existsSync(file)) return false;
  seen.add(file);
  if (file === join(root, "packages/kernels/test/backend.ts")) return true;
  const imports = readFileSync(file, "utf8").matchAll(/from "(\.[^"]+)"/g);
  return [...imports].some(([, path]) =>
    path.includes("test") || !path.includes("/src/")
      ? opensDevice(resolve(dirname(file), path), seen)
      : false,
  );
}

/** The tests of all packages that run on the device. */
function deviceTests() {
  return readdirSync(join(root, "packages"))
    .map((name) => join(root, "packages", name, "test"))
    .filter((dir) => existsSync(dir))
    .flatMap((dir) => readdirSync(dir).map((file) => join(dir, file)))
    .filter((file) => file.endsWith(".test.ts") && opensDevice(file));
}

const files = chosen.length ? chosen : deviceTests();
const report = join(root, "build", "vitest-gpu.json");
mkdirSync(join(root, "build"), { recursive: true });
const vitest = join(root, "node_modules/vitest/vitest.mjs");
const reporters = ["--reporter=dot", "--reporter=json", `--outputFile.json=${report}`];
let [passed, failed, skipped] = [0, 0, 0];

/** Runs the suite and counts what its report says. */
function suite() {
  spawnSync(process.execPath, [vitest, "run", ...reporters, ...files], { cwd: root, stdio: "inherit", env });
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
          console.log(
            `failed: ${t.fullName}: ${String(t.failureMessages?.[0]).split("\n")[0].slice(0, 300)}`,
          );
        if (t.status === "pending" || t.status === "skipped")
          console.log(`skipped: ${t.fullName}: ${t.meta?.needs ?? "no reason given"}`);
      }
    }
  } catch (cause) {
    console.log(`no report: ${cause.message}`);
    failed++;
  }
}

if (!only) suite();
if (words.includes("--sanitize") || only) {
  if (has("compute-sanitizer")) {
    const counts = await sanitize();
    passed += counts.passed;
    failed += counts.failed;
  } else {
    console.log("skipped: compute-sanitizer is not on the path");
    skipped++;
  }
}
console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
process.exit(failed === 0 ? 0 : 1);
