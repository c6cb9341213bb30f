// Recipes that no person wrote: each is a usage error with its place, none a raw error, none without an end.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { z } from "zod";
import { loadConfig, NsaError } from "../src/index.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-hostile-"));
afterAll(() => rmSync(root, { recursive: true }));
const schema = z.strictObject({ name: z.string().default("x"), steps: z.number().default(1) });

let files = 0;
const load = (text: string, set: string[] = []) => {
  const path = join(root, `${files++}.yaml`);
  writeFileSync(path, text);
  return loadConfig(schema, path, { set });
};

const laughs = [
  "a: &a [x,x,x,x,x,x,x,x,x]",
  ...[..."bcdefghi"].map((c, i) => `${c}: &${c} [${Array(9).fill(`*${"abcdefgh"[i]}`).join()}]`),
].join("\n");

test.each([
  ["an alias without an anchor", "name: x\nsteps: *b\n"],
  ["an alias of itself", "name: &a [*a]\n"],
  ["aliases that multiply", laughs],
  ["deep lists", `name: ${"[".repeat(20_000)}`],
  ["deep mappings", `name: ${"{a: ".repeat(20_000)}`],
  ["a merge of nothing", "<<: *x\nname: y\n"],
  ["NULs", "name: \u0000\u0000\n\u0000"],
  ["two documents", "name: x\n---\nname: y\n"],
  ["a list", "- a\n"],
  ["an endless device as a base", "extends: /dev/zero\n"],
  ["random bytes as a base", "extends: /dev/urandom\n"],
  ["a folder as a base", "extends: /tmp\n"],
  ["a number as a base", "extends: 3\n"],
  ["__proto__", "__proto__: {steps: 3}\n"],
])(
  "%s_is_a_usage_error",
  (_, text) => {
    let error: unknown;
    try {
      load(text);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(NsaError);
    expect((error as NsaError).exitCode).toBe(2);
  },
  30_000,
);

test.each([
  "steps=*a",
  "steps=[",
  "steps=&a [*a]",
  "__proto__.steps=3",
  "constructor.x=1",
  "steps.toString=1",
])("--set_%s_is_a_usage_error", (set) => {
  expect(() => load("name: x\n", [set])).toThrow(expect.objectContaining({ exitCode: 2 }));
});
