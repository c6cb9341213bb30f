# Interpreters for programs that come in pieces: one process that has its packages loaded and forks an interpreter for each history of
# pieces. It is trusted; what it forks is not: an interpreter can start no process, write no file, and read no other process.
#
# Messages are lines of JSON over one channel. In: {"id", "key", "code", "seed", "timeout", "bytes", "fresh"} runs a piece in interpreter
# `key`, a new one where `fresh`; {"end": key} ends an interpreter. Out: {"id", "status", "output", "why"}, {"ready": packages} at the start.
# Status: ok; error (the piece raised, the interpreter lives); timeout, output, died (it is gone).
import json, os, resource, select, signal, sys, time

PACKAGES = ("math", "fractions", "itertools", "collections", "sympy")
PR_SET_DUMPABLE = 4


def load():
    loaded = []
    for name in PACKAGES:
        try:
            __import__(name)
            loaded.append(name)
        except ImportError:
            pass
    return loaded


def hide():
    """Closes /proc/<pid>/mem and /proc/<pid>/fd of this process and those that it forks to others of its user."""
    import ctypes

    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def run_piece(code, names):
    """How the piece ended: its status and, where it raised, the last line of its traceback."""
    import traceback

    try:
        exec(compile(code, "program", "exec"), names)
        return "ok", ""
    except SystemExit as end:
        return ("ok", "") if end.code in (None, 0) else ("error", f"SystemExit: {end.code}")
    except BaseException as error:
        return "error", traceback.format_exception_only(type(error), error)[-1].strip()[:500]


def serve(commands, results):
    """The interpreter: runs one piece after another, all with the same names."""
    import random

    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    names = {"__name__": "__main__", "__builtins__": __builtins__}
    for line in commands:
        code, seed = json.loads(line)
        if seed is not None:
            random.seed(seed)
        status, why = run_piece(code, names)
        try:
            sys.stdout.flush()
        except Exception:
            pass
        os.write(results, (json.dumps([status, why]) + "\n").encode())
    os._exit(0)


class Interpreter:
    def __init__(self):
        self.key, self.call = None, None
        command_out, command_in = os.pipe()
        result_out, result_in = os.pipe()
        text_out, text_in = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.dup2(text_in, 1)
                os.dup2(os.open(os.devnull, os.O_RDWR), 2)
                os.dup2(2, 0)
                own = {0, 1, 2, command_out, result_in}
                for fd in map(int, os.listdir("/proc/self/fd") if os.access("/proc/self/fd", os.R_OK) else range(256)):
                    if fd not in own:
                        try:
                            os.close(fd)
                        except OSError:
                            pass
                sys.stdout = open(1, "w", encoding="utf-8", errors="replace", closefd=False)
                sys.stdin, sys.stderr = open(0, closefd=False), open(2, "w", closefd=False)
                serve(open(command_out, encoding="utf-8"), result_in)
            finally:
                os._exit(1)
        for fd in (command_out, result_in, text_in):
            os.close(fd)
        self.commands, self.results, self.texts = command_in, result_out, text_out
        for fd in (self.results, self.texts):
            os.set_blocking(fd, False)

    def run(self, call):
        self.call, self.text, self.line = call, b"", b""
        self.until = time.monotonic() + call["timeout"] / 1000
        seed = call["seed"] if call["fresh"] else None
        data = (json.dumps([call["code"], seed]) + "\n").encode()
        # A piece may be longer than a pipe holds; a living interpreter reads all of it.
        while data:
            try:
                data = data[os.write(self.commands, data) :]
            except OSError:
                return

    def drain(self):
        """Takes what it wrote; False once it has written too much."""
        while True:
            try:
                more = os.read(self.texts, 65536)
            except BlockingIOError:
                return True
            if not more:
                return True
            self.text += more
            if len(self.text) > self.call["bytes"]:
                return False

    def ended(self):
        """How the call ended, or None where it has not."""
        if not self.drain():
            return "output", ""
        try:
            more = os.read(self.results, 65536)
        except BlockingIOError:
            return ("timeout", "") if time.monotonic() > self.until else None
        self.line += more
        if not more:
            return "died", ""
        if not self.line.endswith(b"\n"):
            return ("died", "") if len(self.line) > 65536 else None
        if not self.drain():
            return "output", ""
        try:
            status, why = json.loads(self.line)
            return (status if status in ("ok", "error") else "died"), str(why)
        except ValueError:
            return "died", ""

    def close(self):
        try:
            os.kill(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        for fd in (self.commands, self.results, self.texts):
            os.close(fd)


def reap():
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


class Server:
    def __init__(self, channel):
        self.channel, self.rest, self.interpreters = channel, b"", {}
        # Forked while nothing waits for it.
        self.spare = Interpreter()

    def send(self, message):
        data = (json.dumps(message) + "\n").encode()
        while data:
            data = data[os.write(self.channel, data) :]

    def handle(self, message):
        if "end" in message:
            interpreter = self.interpreters.pop(message["end"], None)
            if interpreter:
                interpreter.close()
            return
        key = message["key"]
        if message["fresh"]:
            interpreter, self.spare = self.spare or Interpreter(), None
            interpreter.key = key
            self.interpreters[key] = interpreter
        self.interpreters[key].run(message)

    def finish(self, interpreter, status, why):
        call, interpreter.call = interpreter.call, None
        if status not in ("ok", "error"):
            self.interpreters.pop(interpreter.key).close()
        text = interpreter.text[: call["bytes"]].decode("utf-8", "replace")
        self.send({"id": call["id"], "status": status, "output": text, "why": why})

    def serve(self):
        while True:
            busy = [i for i in self.interpreters.values() if i.call]
            if not busy:
                reap()
                self.spare = self.spare or Interpreter()
            watched = [self.channel] + [fd for i in busy for fd in (i.results, i.texts)]
            wait = max(0, min((i.until for i in busy), default=time.monotonic() + 3600) - time.monotonic())
            ready, _, _ = select.select(watched, [], [], wait + 0.001)
            if self.channel in ready:
                more = os.read(self.channel, 1 << 20)
                if not more:
                    os._exit(0)
                *lines, self.rest = (self.rest + more).split(b"\n")
                for line in lines:
                    self.handle(json.loads(line))
            for interpreter in busy:
                how = interpreter.ended() if interpreter.call else None
                if how:
                    self.finish(interpreter, *how)


def begin():
    sys.path[:] = [path for path in sys.path if path != "/program"]
    hide()
    packages = load()
    import gc

    # Collecting would copy pages that all interpreters share.
    gc.freeze()
    server = Server(CHANNEL)
    server.send({"ready": packages})
    server.serve()


begin()
