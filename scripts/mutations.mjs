// Puts recorded bugs of RL libraries into the source, one at a time, and shows that the test named for each then fails.
//
// Run: node scripts/mutations.mjs [part of a bug's name]. Exits 1 when a bug goes unnoticed; every file is restored, also on interruption.
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./lib.mjs";
import { mutations } from "./mutation-list.mjs";

/** A bug that hangs its test is noticed, too. */
const LIMIT_MS = 300_000;

/** Names of the tests that fail, all or the one named, or undefined when the file did not run. */
function failing(tests, test) {
  const args = ["run", tests, "--reporter=json", ...(test ? ["-t", `^${test}$`] : [])];
  const run = spawnSync(join(root, "node_modules/.bin/vitest"), args, {
    cwd: root,
    encoding: "utf8",
    maxBuffer: 2 ** 26,
    timeout: LIMIT_MS,
    killSignal: "SIGKILL",
  });
  if (run.error) return test ? [test] : undefined;
  const at = run.stdout.indexOf("{");
  if (at < 0) return undefined;
  const results = JSON.parse(run.stdout.slice(at)).testResults.flatMap((f) => f.assertionResults);
  return results.filter((r) => r.status === "failed").map((r) => r.title);
}

const only = process.argv[2];
const chosen = mutations.filter((m) => !only || m.bug.includes(only));
for (const tests of new Set(chosen.map((m) => m.tests))) {
  const broken = failing(tests);
  if (broken === undefined || broken.length > 0) {
    console.error(`${tests} does not pass as it is: ${broken ?? "it did not run"}`);
    process.exit(1);
  }
}
let unnoticed = 0;
for (const { bug, file, from, to, tests, test } of chosen) {
  const path = join(root, file);
  const source = readFileSync(path, "utf8");
  if (source.split(from).length !== 2) {
    console.error(`${file} does not hold this once: ${from}`);
    process.exit(1);
  }
  const restore = () => writeFileSync(path, source);
  const stop = () => {
    restore();
    process.exit(130);
  };
  process.on("SIGINT", stop);
  let failed;
  try {
    writeFileSync(
      path,
      source.replace(from, () => to),
    );
    failed = failing(tests, test) ?? [];
  } finally {
    restore();
    process.off("SIGINT", stop);
  }
  const noticed = failed.includes(test);
  if (!noticed) unnoticed++;
  console.log(`${noticed ? "noticed  " : "UNNOTICED"}  ${bug}\n           ${test}`);
}
console.log(`${chosen.length - unnoticed} of ${chosen.length} noticed`);
process.exit(unnoticed === 0 ? 0 : 1);
