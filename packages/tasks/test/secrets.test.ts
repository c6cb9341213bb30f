// A program is given nothing of its caller: no environment, no open files, no folder, whatever it searches.
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect } from "vitest";
import { needs } from "../../core/test/needs.ts";
import { bubblewrapState } from "../src/index.ts";
import { pyodideState } from "../src/sandbox/pyodide.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-secrets-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const SECRET = "planted-7f3a";
const home = join(root, "home");
mkdirSync(join(home, ".ssh"), { recursive: true });
for (const name of [".ssh/id_ed25519", ".netrc", "open.txt"])
  writeFileSync(join(home, name), `${SECRET} ${name}`);

/** Reads every file of /proc and of the folders where secrets lie, every open descriptor, and its own environment. */
const SEARCH = `
import os, stat
seen = []
def look(path):
    try:
        mode = os.stat(path).st_mode
        # Reading the program's own channel, a device in Pyodide, would wait for ever.
        if stat.S_ISDIR(mode) or stat.S_ISCHR(mode): return
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            text = os.pread(fd, 1 << 20, 0) if stat.S_ISREG(mode) else os.read(fd, 65536)
        finally:
            os.close(fd)
        seen.append((path, text))
    except (OSError, ValueError):
        pass
count = 0
for top in ["/proc", ${JSON.stringify(home)}, "/root", "/home", "/etc", "/program", "/tmp", "/run", "/var", "."]:
    for folder, names, files in os.walk(top):
        names[:] = [n for n in names if folder != "/proc" or n.isdigit() or n == "self"]
        if folder.startswith("/proc/") and "/task/" in folder: names[:] = []
        for name in files:
            if name in ("kmsg", "kcore", "pagemap", "clear_refs", "mem"): continue
            count += 1
            look(os.path.join(folder, name))
for fd in range(3, 4096):
    try:
        link = os.readlink("/proc/self/fd/%d" % fd) if os.path.isdir("/proc/self/fd") else ""
        device = stat.S_ISCHR(os.fstat(fd).st_mode)
    except OSError:
        continue
    if not device and not link.startswith("socket:"):
        try: seen.append(("fd %d %s" % (fd, link), os.pread(fd, 4096, 0)))
        except OSError: pass
seen.append(("os.environ", repr(dict(os.environ)).encode()))
found = [path for path, text in seen if ${JSON.stringify(SECRET)}[:7].encode() + b"-7f3a" in text or b"sandbox-child" in text]
print("FOUND", [p for p in found if not p.startswith("/program/") and "/program/" not in p])
print("environment", sorted(os.environ))
print("searched", count > 20)
`;

function ask(backend: string): Promise<string> {
  const file = openSync(join(home, "open.txt"), "r");
  const flags = ["--conditions=nsa-source", "--import", import.meta.resolve("tsx")];
  const none = Array.from({ length: 17 }, () => "ignore" as const);
  const child = spawn(
    process.execPath,
    [...flags, join(import.meta.dirname, "sandbox-child.ts"), backend, SECRET],
    {
      cwd: home,
      env: { ...process.env, HOME: home, API_KEY: SECRET, NODE_OPTIONS: `--title=${SECRET}` },
      // A descriptor that stays open across exec, as a shell's \`20<file\` makes it.
      stdio: ["pipe", "pipe", "inherit", ...none, file],
    },
  );
  child.stdin!.end(SEARCH);
  let text = "";
  child.stdout!.on("data", (chunk: Buffer) => {
    text += chunk.toString();
  });
  return new Promise((resolve) => child.on("close", () => resolve(text)));
}

function check(output: string, environment: string): void {
  const [alone, judged, passed] = JSON.parse(output) as { stdout: string; stderr: string }[];
  for (const { stdout, stderr } of [alone!, judged!]) {
    expect(stdout, stderr).toContain("FOUND []\n");
    expect(stdout).toContain(`environment ${environment}\n`);
  }
  expect(alone!.stdout).toContain("searched");
  expect(passed!.stdout).toBe("judged 1");
}

const TIME = 120_000;
needs(bubblewrapState().usable, bubblewrapState().why)(
  "bubblewrap_shows_a_program_nothing_of_its_caller",
  async () => {
    const output = await ask("bubblewrap");
    expect(output).toContain("searched True");
    check(output, "['HOME', 'LANG', 'OPENBLAS_NUM_THREADS', 'PATH', 'PWD', 'PYTHONDONTWRITEBYTECODE']");
  },
  TIME,
);
needs(pyodideState().usable, pyodideState().why)(
  "pyodide_shows_a_program_nothing_of_its_caller",
  async () =>
    check(
      await ask("pyodide"),
      "['HOME', 'LANG', 'LD_LIBRARY_PATH', 'LOGNAME', 'PATH', 'PWD', 'PYTHONINSPECT', 'USER', '_']",
    ),
  TIME,
);
