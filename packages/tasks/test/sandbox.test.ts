// Programs cannot reach the network, files, or more than their share of the machine.
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { needs } from "../../core/test/needs.ts";
import { bubblewrapState, runProgram, runUnitTests } from "../src/index.ts";

const { usable, why } = bubblewrapState();
const locked = needs(usable, why);

locked("a_program_s_output_comes_back", async () => {
  const r = await runProgram("import sys\nprint(6*7)\nprint('e', file=sys.stderr)");
  expect(r).toMatchObject({ status: "ok", stdout: "42\n", stderr: "e\n" });
  const files = { "data.txt": "hello" };
  expect((await runProgram("print(open('/program/data.txt').read())", { files })).stdout).toBe("hello\n");
});

locked("errors_say_their_last_line", async () => {
  expect(await runProgram("1/0")).toMatchObject({
    status: "error",
    why: "ZeroDivisionError: division by zero",
  });
});

locked("the_network_is_not_there", async () => {
  const r = await runProgram(
    "import socket\ns = socket.socket()\ns.settimeout(2)\ns.connect(('127.0.0.1', 22))",
  );
  expect(r.status).toBe("error");
  const interfaces = await runProgram("import socket\nprint([n for _, n in socket.if_nameindex()])");
  expect(interfaces.stdout).toBe("['lo']\n");
});

locked("files_outside_can_be_neither_read_nor_written", async () => {
  const dir = mkdtempSync(join(tmpdir(), "nsa-secret-"));
  const secret = join(dir, "secret.txt");
  writeFileSync(secret, "s3cret");
  try {
    const code = `
import os
for path in [${JSON.stringify(secret)}, "/etc/passwd", "/etc/shadow", "/root", "/home", "/proc/1/environ"]:
    try:
        print(path, open(path).read() if not os.path.isdir(path) else os.listdir(path))
    except OSError:
        print("no")
for path in ["/x", "/usr/x", "/program/x", "/etc/x"]:
    try:
        open(path, "w")
        print("wrote", path)
    except OSError:
        print("no")
open("/tmp/fine", "w").write("x")
`;
    const r = await runProgram(code);
    expect(r.stdout).not.toContain("s3cret");
    expect(r.stdout).not.toContain("wrote");
    expect(r.stdout).not.toContain("root:");
    expect(r.status).toBe("ok");
    expect(existsSync("/tmp/fine")).toBe(false);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});

locked("a_fork_bomb_meets_its_limit_and_leaves_nothing", async () => {
  const code =
    "import os\nn = 0\nwhile True:\n  try:\n    if os.fork() == 0:\n      import time; time.sleep(30)\n    n += 1\n  except OSError:\n    print(n)\n    break";
  const r = await runProgram(code, { limits: { timeoutMs: 4000, processes: 8 } });
  expect(Number(r.stdout)).toBeLessThan(8);
  const endless = await runProgram("import os\nwhile True:\n  try: os.fork()\n  except OSError: pass", {
    limits: { timeoutMs: 700 },
  });
  expect(endless.status).toBe("timeout");
  expect(endless.milliseconds).toBeLessThan(4000);
});

locked("memory_output_and_time_are_limited", async () => {
  expect((await runProgram("x = bytearray(10**10)")).status).toBe("memory");
  const flood = await runProgram("while True: print('x' * 1000)", { limits: { outputBytes: 10_000 } });
  expect(flood.status).toBe("output");
  expect(flood.stdout).toHaveLength(10_000);
  expect((await runProgram("while True: pass", { limits: { cpuSeconds: 1 } })).status).toBe("timeout");
  const asleep = await runProgram("import time; time.sleep(60)", { limits: { timeoutMs: 300 } });
  expect(asleep).toMatchObject({ status: "timeout", why: "stopped after 300 ms" });
  const disk = await runProgram("open('/tmp/big', 'wb').write(bytes(64 << 20))", {
    limits: { memoryMb: 32 },
  });
  expect(disk.status).not.toBe("ok");
});

locked("rights_are_dropped_and_the_environment_is_empty", async () => {
  process.env.NSA_SANDBOX_PROBE = "leak";
  const r = await runProgram(
    "import os\nprint(os.getuid(), 'NSA_SANDBOX_PROBE' in os.environ)\nos.setuid(0)",
  );
  delete process.env.NSA_SANDBOX_PROBE;
  expect(r.stdout).toBe("65534 False\n");
  expect(r.status).toBe("error");
});

locked("sixteen_programs_run_at_once_apart_from_each_other", async () => {
  const codes = Array.from(
    { length: 16 },
    (_, i) => `open('/tmp/n', 'x').write('${i}')\nprint(open('/tmp/n').read())`,
  );
  const results = await Promise.all(codes.map((code) => runProgram(code, { limits: { timeoutMs: 20_000 } })));
  expect(results.map((r) => r.stdout.trim())).toEqual(codes.map((_, i) => String(i)));
});

locked("unit_tests_judge_code_and_printing_success_earns_nothing", async () => {
  const tests = ["assert f(1) == 2", "assert f(2) == 3", "raise SystemExit(0)"];
  expect(await runUnitTests("def f(x): return x + 1", tests)).toMatchObject({ passed: 2, total: 3 });
  expect((await runUnitTests("print('result 1\\n' * 9)", tests)).passed).toBe(0);
  expect((await runUnitTests("import os; os._exit(0)", tests)).passed).toBe(0);
  expect((await runUnitTests("def f(x: return", tests)).passed).toBe(0);
});
