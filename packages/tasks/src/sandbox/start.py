# Begins a program in its sandbox: closes what it may have inherited besides stdin, stdout and stderr, then runs the file
# that its first argument names as Python itself would.
import os, sys


def start(path):
    for name in os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else map(str, range(3, 256)):
        if int(name) > 2:
            try:
                os.close(int(name))
            except OSError:
                pass
    sys.argv = [path]
    sys.path[0] = os.path.dirname(path)
    with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
        return compile(file.read(), path, "exec")


__file__ = sys.argv[1]
_code = start(__file__)
del start, os, sys
exec(_code)
