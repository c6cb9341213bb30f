// Programs in pieces: names last, and whatever a piece does ends its own call alone.
import { afterAll, expect, test } from "vitest";
import { needs } from "../../core/test/needs.ts";
import { bubblewrapState } from "../src/index.ts";
import { Interpreters } from "../src/sandbox/interpreters.ts";
import { piecesByProgram } from "../src/sandbox/pieces.ts";

const { usable, why } = bubblewrapState();
const locked = needs(usable, why);
const limits = { timeoutMs: 2000, memoryMb: 512, outputBytes: 10_000 };
let python: Interpreters;
let hasSympy = false;
if (usable) {
  python = new Interpreters(limits, 4);
  hasSympy = (await python.packages()).includes("sympy");
}
afterAll(() => python?.close());
const run = (history: string[], code: string, seed = 1) => python.run(history, code, seed);

locked("names_last_over_the_pieces_of_a_history_and_reach_no_other", async () => {
  const first = "x = 5\nprint(x * 2)";
  expect(await run([], first)).toEqual({ status: "ok", output: "10\n", why: "" });
  expect((await run([first], "x += 1\nprint(x)")).output).toBe("6\n");
  // The interpreter of that history is taken; another one is made for the same history again.
  expect((await run([first], "print(x)")).output).toBe("5\n");
  expect((await run([first, "x += 1\nprint(x)"], "print(x + 1)")).output).toBe("7\n");
  expect(await run([], "print(x)")).toMatchObject({
    status: "error",
    why: "NameError: name 'x' is not defined",
  });
  // A piece that raised leaves what it did before.
  expect((await run(["y = 1\nz", "y += 1"], "print(y)")).output).toBe("2\n");
});

locked("random_numbers_are_those_of_the_seed", async () => {
  const code = "import random\nprint(random.random())";
  const [a, b, c] = await Promise.all([run([], code, 3), run([], code, 3), run([], code, 4)]);
  expect(a.output).toBe(b.output);
  expect(a.output).not.toBe(c.output);
});

const ends: [code: string, ended: object][] = [
  ["while True: pass", { status: "timeout", why: "it took more than 2000 ms" }],
  ["while True: print('a' * 999)", { status: "output", why: "it wrote more than 10000 bytes" }],
  ["import os\nos._exit(3)", { status: "died", why: "the interpreter ended" }],
  [
    "import os\nwhile True: os.fork()",
    { status: "error", why: "BlockingIOError: [Errno 11] Resource temporarily unavailable" },
  ],
  [
    "import threading\nthreading.Thread(target=print).start()",
    { status: "error", why: "RuntimeError: can't start new thread" },
  ],
  ["x = [0] * 10**10", { status: "error", why: "MemoryError" }],
  ["open('/tmp/x', 'w')", { status: "error", why: "OSError: [Errno 30] Read-only file system: '/tmp/x'" }],
  [
    "open('/dev/shm/x', 'w')",
    { status: "error", why: "OSError: [Errno 30] Read-only file system: '/dev/shm/x'" },
  ],
  ["import sys\nsys.exit(2)", { status: "error", why: "SystemExit: 2" }],
  ["import sys\nprint(1)\nsys.exit()", { status: "ok", output: "1\n" }],
  ["def f(:", { status: "error", why: "SyntaxError: invalid syntax" }],
  ["import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)", { status: "died" }],
];
locked.each(ends)("a_piece_ends_its_call_alone: %s", async (code, ended) => {
  const before = ["kept = 7"];
  const [result, other] = await Promise.all([
    run(before, code),
    run([], "import time\ntime.sleep(0.2)\nprint('fine')"),
  ]);
  expect(result).toMatchObject(ended);
  expect(other).toEqual({ status: "ok", output: "fine\n", why: "" });
  expect((await run(before, "print(kept)")).output).toBe("7\n");
});

locked("a_piece_that_kills_all_processes_ends_its_call_alone", async () => {
  const all = await Promise.all(
    Array.from({ length: 12 }, (_, i) =>
      run(["base = 100"], i === 5 ? "import os\nos.kill(-1, 9)" : `print(base + ${i})`, i),
    ),
  );
  expect(all.map(({ output }) => output.trim())).toEqual(
    Array.from({ length: 12 }, (_, i) => (i === 5 ? "" : String(100 + i))),
  );
  expect(all[5]).toEqual({ status: "died", output: "", why: "the interpreter ended" });
});

locked("interpreters_cannot_read_one_another_or_the_process_that_forks_them", async () => {
  const code = `
import os
found = []
for pid in [p for p in os.listdir("/proc") if p.isdigit() and int(p) not in (1, os.getpid())]:
    for name in ("mem", "environ", "fd/0", "fd/3"):
        try:
            open(f"/proc/{pid}/{name}", "rb").close()
            found.append((pid, name))
        except OSError:
            pass
print(len([p for p in os.listdir("/proc") if p.isdigit()]) > 2, found)
`;
  const [{ output }] = await Promise.all([run([], code), run([], "import time; time.sleep(0.3)")]);
  expect(output).toBe("True []\n");
});

needs(usable && hasSympy, usable ? "python3-sympy is not installed" : why)(
  "sympy_is_loaded_already",
  async () => {
    const code =
      "import sys\nprint('sympy' in sys.modules)\nfrom sympy import *\nx = symbols('x')\nprint(integrate(x**2, x))";
    expect((await run([], code)).output).toBe("True\nx**3/3\n");
  },
);

locked("a_history_run_again_as_one_program_gives_the_same", async () => {
  const program = piecesByProgram({ ...limits, timeoutMs: 20_000 }, {});
  const pieces = [
    "x = 2\nprint('shown')",
    "x *= 3\n1 / 0",
    "print(x)",
    "import random\nprint(random.random())",
  ];
  for (const i of pieces.keys()) {
    const history = pieces.slice(0, i);
    expect(await program.run(history, pieces[i]!, 9)).toEqual(await run(history, pieces[i]!, 9));
  }
  expect(await program.run([], "print('a' * 20000)", 1)).toMatchObject({ status: "output" });
});

test("a_machine_without_bubblewrap_runs_histories_as_programs", async () => {
  const pyodide = piecesByProgram({ ...limits, timeoutMs: 60_000 }, { backend: "pyodide" });
  expect(await pyodide.run(["x = 20"], "print(x + 1)", 1)).toEqual({ status: "ok", output: "21\n", why: "" });
}, 120_000);
