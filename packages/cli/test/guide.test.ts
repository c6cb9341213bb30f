// Runs the commands of docs/guide, page by page, at the small sizes that comments before the blocks name.
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { sharedData } from "../../core/test/shared-data.ts";
import { buildOnce, bundle, root } from "./built.ts";

const guide = join(root, "docs/guide");
const pages = readdirSync(guide).filter((name) => name.endsWith(".md") && name !== "README.md");

interface Block {
  lines: string[];
  /** Words appended to every stage command. */
  smoke: string;
  /** Expected exit code. */
  code: number;
  /** Why the block is not run here. */
  skip?: string;
}

function blocksOf(page: string): Block[] {
  const blocks: Block[] = [];
  let comment = "";
  let inside: string[] | undefined;
  for (const line of readFileSync(join(guide, page), "utf8").split("\n")) {
    if (inside) {
      if (line !== "```") {
        inside.push(line);
        continue;
      }
      const of = (key: string) => new RegExp(`^${key}: (.*)$`).exec(comment)?.[1];
      const gpu = comment === "gpu" && !existsSync("/dev/nvidia0") ? "needs a GPU" : undefined;
      const smoke = of("smoke") ?? "";
      blocks.push({ lines: inside, smoke, code: Number(of("fails") ?? 0), skip: of("not run") ?? gpu });
      [inside, comment] = [undefined, ""];
    } else if (line === "```sh") inside = [];
    else if (line.startsWith("<!-- ")) comment = line.slice(5, -4);
  }
  return blocks;
}

/** The block as a script that ends the page's script when a command fails unexpectedly. */
function scriptOf(block: Block): string {
  const small = block.lines.map((line) =>
    /^pnpm nsa (pretrain|sft|dpo|reward|grpo|sample|eval|pipeline run) /.test(line) && block.smoke
      ? `${line} ${block.smoke}`
      : line,
  );
  if (block.code === 0) return small.join("\n");
  return `code=0; { ${small.join("\n")}\n} || code=$?; [ $code = ${block.code} ]`;
}

test("the_guide_has_pages_and_each_runs_something", () => {
  expect(pages.length).toBeGreaterThanOrEqual(5);
  for (const page of pages) expect(blocksOf(page).filter((b) => !b.skip).length, page).toBeGreaterThan(0);
  const linked = readFileSync(join(guide, "README.md"), "utf8");
  for (const page of pages) expect(linked).toContain(`(${page})`);
});

test.each(pages)(
  "every_command_of_%s_works",
  (page) => {
    buildOnce();
    const cwd = mkdtempSync(join(tmpdir(), "nsa-guide-"));
    for (const name of ["configs", "schemas"]) symlinkSync(join(root, name), join(cwd, name));
    const blocks = blocksOf(page);
    for (const { skip, lines } of blocks) if (skip) console.log(`not run (${skip}): ${lines[0]}`);
    const script = `set -euo pipefail
pnpm() { [ "$1" = -s ] && shift; [ "$1" = nsa ] && shift; node '${bundle}' "$@"; }
${blocks
  .filter((block) => !block.skip)
  .map(scriptOf)
  .join("\n")}`;
    const env = { ...process.env, NSA_DATA: sharedData };
    const run = spawnSync("bash", ["-c", script], { cwd, encoding: "utf8", env, timeout: 400_000 });
    expect(run.status, `${run.stdout.slice(-1500)}\n${run.stderr.slice(-1500)}`).toBe(0);
  },
  420_000,
);
