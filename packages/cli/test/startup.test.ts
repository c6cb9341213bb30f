// What `nsa --help` may load, and what the command line answers to unknown words.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { nsa } from "./built.ts";

/** Addresses of all scripts and native libraries that a command loads. */
function loadedBy(args: string[]): string[] {
  const dir = mkdtempSync(join(tmpdir(), "nsa-loaded-"));
  try {
    const list = `process.on("exit",()=>process.stderr.write(process.report.getReport().sharedObjects.join("\\n")))`;
    const run = nsa(args, {
      env: { NODE_V8_COVERAGE: dir },
      flags: ["--import", `data:text/javascript,${encodeURIComponent(list)}`],
    });
    expect(run.status).toBe(0);
    const scripts = readdirSync(dir).flatMap((file) => {
      const { result } = JSON.parse(readFileSync(join(dir, file), "utf8")) as { result: { url: string }[] };
      return result.map((script) => script.url);
    });
    return [...scripts, ...run.stderr.split("\n")];
  } finally {
    rmSync(dir, { recursive: true });
  }
}

const heavy = /node_modules|packages\/(core|kernels|model|data|eval|rl)\/|\.node$/;

test("the_first_page_of_help_is_the_parser_s_own", () => {
  const { stdout } = nsa(["--help"]);
  expect(nsa(["help", "--debug"]).stdout).toBe(stdout);
  expect(stdout).toContain("pretrain [options] [config]");
  expect(nsa(["-h"]).stdout).toBe(stdout);
});

test("help_loads_one_bundle_and_no_library", () => {
  const loaded = loadedBy(["--help"]);
  expect(loaded.filter((url) => heavy.test(url))).toEqual([]);
  const own = loaded.filter((url) => url.includes("/cli/dist/")).map((url) => url.split("/").at(-1));
  expect(own.filter((name) => !name!.startsWith("rolldown-runtime-"))).toEqual(["nsa.mjs"]);
});

test("a_command_that_computes_does_load_the_addon_and_zod", () => {
  const loaded = loadedBy(["doctor"]);
  expect(loaded.some((url) => url.endsWith("nsa.node"))).toBe(true);
  expect(loadedBy(["config", "explain", "pretrain"]).some((url) => url.includes("/zod/"))).toBe(true);
});

test.each([["--help"], ["pretrain", "--help"], ["runs", "--help"], ["--version"]])(
  "help_of_%s_ends_with_0",
  (...args) => expect(nsa(args).status).toBe(0),
);

test.each([
  ["an_unknown_command", ["pretrian", "x.yaml"], "pretrain"],
  ["an_unknown_option", ["pretrain", "x.yaml", "--resum", "latest"], "--resume"],
])("%s_ends_with_2_and_a_suggestion", (_, args, suggestion) => {
  const run = nsa(args);
  expect(run.status).toBe(2);
  expect(run.stderr).toContain(suggestion);
});
