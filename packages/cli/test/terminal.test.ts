// The screen on a real pseudo-terminal: Ctrl-C typed into it saves, and the terminal is whole afterwards.
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { needs } from "../../core/test/needs.ts";
import { buildOnce, bundle, root } from "./built.ts";
import { tinyPretrain } from "./tiny.ts";

const hasScript = spawnSync("sh", ["-c", "command -v script"]).status === 0;

needs(hasScript, "no `script` command here")(
  "ctrl_c_on_the_screen_saves_shows_the_cursor_again_and_ends_with_130",
  async () => {
    buildOnce();
    const dir = mkdtempSync(join(tmpdir(), "nsa-terminal-"));
    const config = join(dir, "tiny.yaml");
    writeFileSync(config, tinyPretrain);
    const command = `trap : INT; stty cols 100 rows 40; node ${bundle} pretrain ${config} --runs ${dir} --set train.steps=100000; echo code $?`;
    const env = { ...process.env, CI: undefined, TERM: "xterm-256color" };
    const terminal = spawn("script", ["-qec", command, "/dev/null"], { cwd: root, env });
    let out = "";
    let typed = false;
    terminal.stdout.on("data", (chunk) => {
      out += chunk;
      if (typed || !/loss\S* \d/.test(out)) return;
      typed = true;
      terminal.stdin.write("\u0003");
    });
    await new Promise((resolve) => terminal.on("close", resolve));
    expect(out).toContain("Ctrl-C again to end at once");
    expect(out).toContain("code 130");
    expect(out.lastIndexOf("\u001b[?25h")).toBeGreaterThan(out.lastIndexOf("\u001b[?25l"));
    expect(out.indexOf("report: ")).toBeGreaterThan(out.lastIndexOf("saved step"));
  },
);
