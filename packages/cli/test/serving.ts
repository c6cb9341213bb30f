// A tiny checkpoint and a started `nsa serve`, for tests.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildOnce, bundle, nsa } from "./built.ts";
import { tinyPretrain } from "./tiny.ts";

/** Trains the tiny recipe; the folder holds it as runs/base and its checkpoint's path is returned. */
export function tinyRun(): { dir: string; checkpoint: string } {
  const dir = mkdtempSync(join(tmpdir(), "nsa-serve-"));
  writeFileSync(join(dir, "tiny.yaml"), tinyPretrain);
  const run = nsa(["pretrain", "tiny.yaml", "--device", "cpu", "--plain"], { cwd: dir });
  if (run.status !== 0) throw new Error(run.stderr);
  const path = nsa(["runs", "path", "latest", "--checkpoint"], { cwd: dir });
  return { dir, checkpoint: path.stdout.trim() };
}

export interface StartedServer {
  url: string;
  child: ChildProcess;
  stderr(): string;
  exited: Promise<number | null>;
}

/** Starts the built server on a free port and waits until it listens. */
export async function startServer(checkpoint: string, flags: string[] = []): Promise<StartedServer> {
  buildOnce();
  const args = [bundle, "serve", checkpoint, "--port", "0", "--device", "cpu", "--name", "tiny", ...flags];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
  let stderr = "";
  child.stderr!.on("data", (text) => {
    stderr += text;
  });
  const exited = new Promise<number | null>((resolve) => child.on("exit", resolve));
  const url = await new Promise<string>((resolve, reject) => {
    child.stdout!.on("data", (text) => {
      const found = /http:\S+/.exec(String(text));
      if (found) resolve(found[0]);
    });
    exited.then((code) => reject(new Error(`the server ended with ${code}: ${stderr}`)));
  });
  return { url, child, stderr: () => stderr, exited };
}
