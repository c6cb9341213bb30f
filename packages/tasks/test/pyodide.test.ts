// The portable sandbox: the same programs in WebAssembly, and its walls against the ways out through JavaScript.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { needs } from "../../core/test/needs.ts";
import { bubblewrapState, requireSandbox, runProgram } from "../src/index.ts";
import { pyodideState } from "../src/sandbox/pyodide.ts";

const { usable, why } = pyodideState();
const portable = (code: string, limits = {}, files = {}) =>
  runProgram(code, { backend: "pyodide", limits: { timeoutMs: 20_000, cpuSeconds: 20, ...limits }, files });
const inside = needs(usable, why);
const TIME = 120_000;

inside(
  "programs_compute_read_their_files_and_say_how_they_end",
  async () => {
    const code = `
import sys
from fractions import Fraction
print(sum(Fraction(1, i) for i in range(1, 11)), open("/program/data.txt").read(), __name__)
print("e", file=sys.stderr)
`;
    expect(await portable(code, {}, { "data.txt": "hello" })).toMatchObject({
      status: "ok",
      stdout: "7381/2520 hello __main__\n",
      stderr: "e\n",
    });
    expect(await portable("1/0")).toMatchObject({
      status: "error",
      why: "ZeroDivisionError: division by zero",
    });
    const sympy = await portable("import sympy");
    expect(sympy.why).toMatch(/^ModuleNotFoundError: No module named 'sympy': .*standard library only/);
  },
  TIME,
);

inside(
  "time_memory_and_output_are_limited",
  async () => {
    const endless = await portable("while True: pass", { timeoutMs: 500 });
    expect(endless).toMatchObject({ status: "timeout", why: "stopped after 500 ms" });
    const memory = await portable("x = []\nwhile True: x.append(bytearray(10**7))", { memoryMb: 200 });
    expect(memory.status).toBe("memory");
    const disk = `
def attempt(f):
    try:
        f()
        print("wrote")
    except OSError as error:
        print(error.strerror)
def fill():
    for i in range(100):
        open(f"/tmp/{i}", "wb").write(bytes(10**7))
attempt(fill)
attempt(lambda: open("/tmp/t", "wb").truncate(10**9))
`;
    const full = await portable(disk, { memoryMb: 200 });
    expect(full.stdout).toBe("No space left on device\nNo space left on device\n");
    const flood = await portable("while True: print('x' * 1000)", { outputBytes: 10_000 });
    expect(flood.status).toBe("output");
    expect(flood.stdout).toHaveLength(10_000);
  },
  TIME,
);

/** Ways out, each in a function; prints `name: got …` for one that leads somewhere. */
const attacks = (secret: string, port: number) => `
import asyncio, gc, os, socket, sys
def attempt(name, f):
    try:
        print(name, "GOT", f())
    except BaseException as error:
        print(name, "no", type(error).__name__)

def host_file(): return open(${JSON.stringify(secret)}).read()
def host_passwd(): return open("/etc/passwd").read()
def run_js():
    from pyodide.code import run_js
    return run_js("process.version")
def function_constructor():
    import pyodide_js
    return pyodide_js.loadPackage.constructor.constructor("return process.version")()
def async_constructor():
    import pyodide_js
    return pyodide_js.loadPackage.constructor("return process.version")()
def node_files():
    import pyodide_js
    from pyodide.ffi import to_js
    os.makedirs("/host", exist_ok=True)
    options = to_js({"root": ${JSON.stringify(secret)}.rsplit("/", 1)[0]}, dict_converter=pyodide_js.FS.constructor.fromEntries)
    pyodide_js.FS.mount(pyodide_js.FS.filesystems.NODEFS, options, "/host")
    return open("/host/secret.txt").read()
def mount_node():
    import pyodide_js
    pyodide_js.mountNodeFS("/host2", ${JSON.stringify(secret)}.rsplit("/", 1)[0])
    return open("/host2/secret.txt").read()
def global_process():
    import js
    return js.process.version
def js_fetch():
    import js
    return js.fetch("http://127.0.0.1:${port}")
def tcp():
    s = socket.socket()
    s.settimeout(2)
    s.connect(("127.0.0.1", ${port}))
    return "connected"
def node_sockets():
    import pyodide_js
    from pyodide.ffi import run_sync
    run_sync(pyodide_js.useNodeSockFS())
    return tcp()
def url():
    import urllib.request
    return urllib.request.urlopen("http://127.0.0.1:${port}", timeout=2).status
def shell(): return os.system("id") == 0 or 1 / 0
def spawn():
    import subprocess
    return subprocess.run(["id"])
def fork(): return os.fork()
def environment(): return {k: v for k, v in os.environ.items() if "PROBE" in k} or 1 / 0
def proxies():
    import pyodide_js
    for o in gc.get_objects():
        if type(o).__name__ == "JsProxy":
            return o.constructor.constructor("return globalThis.process.version")()
    return pyodide_js._module.constructor.constructor("return 1")()
for f in [host_file, host_passwd, run_js, function_constructor, async_constructor, node_files, mount_node, global_process, js_fetch, tcp, node_sockets, url, spawn, fork, environment, proxies]:
    attempt(f.__name__, f)
print("end")
# The runtime ends here: it has no shell to call.
attempt("shell", shell)
`;

inside(
  "no_way_out_leads_to_files_network_processes_or_the_environment",
  async () => {
    const dir = mkdtempSync(join(tmpdir(), "nsa-secret-"));
    writeFileSync(join(dir, "secret.txt"), "s3cret");
    let met = 0;
    const listener = createServer((socket) => {
      met++;
      socket.destroy();
    });
    await new Promise<void>((done) => listener.listen(0, "127.0.0.1", done));
    process.env.NSA_SANDBOX_PROBE = "leak";
    try {
      const { port } = listener.address() as AddressInfo;
      const r = await portable(attacks(join(dir, "secret.txt"), port));
      expect(r.stdout).not.toContain("GOT");
      expect(r.stdout).not.toContain("s3cret");
      expect(r.stdout).toMatch(/\nend\n/);
      expect(r.stdout.match(/ no /g)!.length).toBeGreaterThanOrEqual(16);
      expect(met).toBe(0);
    } finally {
      delete process.env.NSA_SANDBOX_PROBE;
      listener.close();
      rmSync(dir, { recursive: true, force: true });
    }
  },
  TIME,
);

test("bubblewrap_comes_first_and_what_is_asked_for_but_absent_is_refused", () => {
  if (bubblewrapState().usable) expect(requireSandbox()).toBe("bubblewrap");
  else {
    expect(() => requireSandbox({ backend: "bubblewrap" })).toThrow(
      expect.objectContaining({ code: "sandbox_missing", exitCode: 4 }),
    );
    expect(requireSandbox({ unsafeExec: true })).toBe("none");
  }
  if (usable) expect(requireSandbox({ backend: "pyodide" })).toBe("pyodide");
});
