# The side of the tests: runs them where the program under test is not. A name that a test leaves open is requested of the
# program over a channel, one call at a time; what comes back is data, and Python compares it here.
import re

TEXTS = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"')
CONTROL = (StopIteration, StopAsyncIteration, GeneratorExit, SystemExit, KeyboardInterrupt)


def nesting(line):
    """How deeply a message is nested: reading one too deep would end this process where Python has a small stack."""
    if line.count("[") + line.count("{") <= 4 * DEEPEST:
        return 0
    depth = deepest = 0
    for bracket in re.findall(r"[][{}]", TEXTS.sub("", line)):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


class Judge:
    def __init__(self, channel, classes):
        self.channel, self.classes = channel, classes
        self.objects, self.exceptions, self.callbacks = {}, {}, []
        # Numbers of classes that the tests use as classes, and of objects that an operator made with data of the test.
        self.tested, self.derived = set(), set()
        self.watched, self.words = set(), set()
        # Why the test that runs has failed already, whatever it catches.
        self.failure = ""

    def is_tested(self, x):
        return not self.tested.isdisjoint(bases(x))

    def fail(self, why):
        self.failure = self.failure or why

    def refuse(self, why):
        self.fail(f"Refused: {why}")
        raise Refused(why)

    def closed(self, why):
        self.fail(f"ChannelClosed: {why}")
        raise ChannelClosed(why)

    def exception_class(self, j):
        if isinstance(j, str):
            found = getattr(builtins, j, None)
            return found if isinstance(found, type) and issubclass(found, BaseException) else RuntimeError
        if j["id"] not in self.exceptions:
            parents = tuple(dict.fromkeys(self.exception_class(b) for b in j["bases"])) or (Exception,)
            self.exceptions[j["id"]] = type(str(j["name"]), parents, {})
        return self.exceptions[j["id"]]

    def object_of(self, j):
        if j["t"] in ("class", "object"):
            return self.objects.setdefault(int(j["v"]), ProgramObject(self, j))
        if j["t"] == "coroutine":
            return self.awaited(ProgramObject(self, j))
        if j["t"] == "exception":
            return self.exception_class(j["v"])
        return self.refuse(f"a value of the kind {j['t']}")

    async def awaited(self, coroutine):
        return self.operate("await", coroutine)

    def encode_object(self, x):
        if isinstance(x, ProgramObject):
            return tagged("ref", number_of_object(x))
        for number, c in self.exceptions.items():
            if c is x:
                return tagged("ref", number)
        if callable(x) and getattr(builtins, getattr(x, "__name__", ""), None) is x:
            return tagged("builtin", x.__name__)
        if callable(x) or hasattr(x, "__next__"):
            self.callbacks.append(x if callable(x) else lambda: list(itertools.islice(x, 1)))
            return tagged("callback" if callable(x) else "iterator", len(self.callbacks) - 1)
        raise Unsendable(f"a {type(x).__name__} cannot be given to the program")

    def encode(self, x):
        return encode(x, self.encode_object)

    def decode(self, j):
        try:
            return decode(j, self.object_of)
        except Refused:
            raise
        except (KeyError, ValueError, AttributeError, IndexError, ArithmeticError, TypeError) as e:
            return self.refuse(f"what the program sent is no value: {e}")

    def answer_callback(self, number, args, kwargs):
        try:
            result = ["result", "ok", self.encode(self.callbacks[number](*self.decode(args), **self.decode(kwargs)))]
        except Exception as e:
            if isinstance(e, AssertionError):
                # The program may catch it; the test has failed all the same.
                self.fail(f"AssertionError: {e}")
            result = ["result", "raise", [type(e).__name__, [str(e)]]]
        self.channel.send(">" + dumps(result))

    def request(self, message):
        """Sends one request; the value and the changed arguments, or the program's exception."""
        self.channel.send(">" + dumps(message))
        while True:
            line = self.channel.receive()
            if line == "!":
                self.closed("the program has ended")
            if nesting(line) > 4 * DEEPEST:
                self.closed("what the program sent is nested too deeply")
            try:
                how, *rest = json.loads(line)
                if how == "callback":
                    number, args, kwargs = rest
                elif how == "ok":
                    value, changed = rest
                    return value, dict(changed)
                elif how == "raise":
                    error = self.exception_of(rest[0], message)
                    break
                else:
                    raise ValueError(how)
            except (ValueError, TypeError, KeyError, RecursionError, AttributeError):
                self.closed("what the program sent is no message")
            self.answer_callback(number, args, kwargs)
        raise error

    def exception_of(self, j, message):
        c = self.exception_class(j["class"])
        control = next((base for base in c.__mro__ if base in CONTROL), None)
        iterates = message[:2] == ["do", "next"] and control is StopIteration
        # Out of a call they would end a loop of the test, or the test.
        if control and not iterates and control.__name__ not in self.words:
            return RuntimeError(f"the program raised {control.__name__}")
        args = self.decode(j["args"])
        try:
            error = c(*args)
        except Exception:
            error = c.__new__(c)
            error.args = tuple(args)
        for name, x in j["state"].items():
            value = self.decode(x)
            # A function there would be a method of the exception.
            if not name.startswith("__") and not callable(value):
                try:
                    setattr(error, name, value)
                except Exception:
                    pass
        return error

    def name(self, name):
        """What the program calls so. Throws KeyError where it has no such name."""
        value, _ = self.request(["name", name])
        if isinstance(value, dict) and value.get("t") == "missing":
            raise KeyError(name)
        if isinstance(value, dict) and value.get("t") == "class" and name in self.classes:
            self.tested.add(value["v"])
        if isinstance(value, dict) and value.get("t") == "module" and value["v"] in sys.stdlib_module_names:
            return __import__(value["v"])
        return self.decode(value)

    def operate(self, operation, *args):
        return self.decode(self.request(["do", operation, self.encode(list(args))])[0])

    def call(self, function, args, kwargs):
        value, changed = self.request(["call", self.encode(function), self.encode(list(args)), self.encode(kwargs)])
        result = self.decode(value)
        frame = sys._getframe(2)
        given = dict(enumerate(args)) | kwargs
        for key, new in changed.items():
            old = given.get(key)
            # The judge's arguments stay what they are, unless the call is one that works on its arguments.
            if result is None or any(frame.f_locals.get(n, frame.f_globals.get(n)) is old for n in self.watched):
                overwrite(old, self.decode(new))
        return result


def overwrite(old, new):
    """Gives a container the content of another, containers inside it too, so that other names of them see it."""
    if isinstance(old, list) and isinstance(new, list):
        mutable = (list, dict, set, bytearray)
        both = [overwrite(a, b) if type(a) is type(b) and isinstance(a, mutable) else b for a, b in zip(old, new)]
        old[:] = both + new[len(both) :]
    elif isinstance(old, bytearray):
        old[:] = new
    elif isinstance(old, collections.deque):
        old.clear()
        old.extend(new)
    elif isinstance(old, (dict, set)) and isinstance(new, (dict, set)):
        old.clear()
        old.update(new)
    return old


class TestGlobals(dict):
    def __init__(self, names, judge, overridden):
        super().__init__(__name__="solution", __builtins__=builtins, **overridden)
        self.names, self.judge = names, judge

    def __missing__(self, name):
        self[name] = value = self.names.find(name, self.judge)
        return value


def builtin_overrides(names, judge):
    """The program's own functions under names of Python's, where the tests are of nothing else."""

    def absent(name):
        def missing(*_, **__):
            raise NameError(f"the program does not define '{name}'")

        return missing

    out = {}
    for name in sorted(names.builtins):
        try:
            out[name] = judge.name(name)
        except KeyError:
            out[name] = absent(name)
    return out


class Solution(type(sys)):
    """`import solution`, `from solution import f` in a test."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            return self._judge.name(name)
        except KeyError:
            raise AttributeError(name) from None


def parsed(test):
    try:
        return ast.parse(test)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ast.Module([], [])


def begin():
    channel = Channel(CHANNEL)
    # What tests print is of no use here, and must not end the judge by a limit.
    sys.stdout = sys.stderr = open(os.devnull, "w")
    tests = json.loads(channel.receive())
    trees = [parsed(test) for test in tests]
    # "ready" of the program, or its end.
    started = channel.receive() == '"ready"'
    judge = Judge(channel, ClassUse(trees).classes)
    sys.modules["solution"] = module = Solution("solution")
    module._judge = judge
    names = Names(trees)
    overridden = {}
    try:
        overridden = builtin_overrides(names, judge) if started else {}
    except (Exception, ChannelClosed):
        pass
    for number, (test, tree) in enumerate(zip(tests, trees)):
        why = ""
        try:
            judge.failure = ""
            if not started:
                judge.closed("the program did not start")
            judge.watched = watched_in(tree, functions_in(tree) | (set(dir(builtins)) - set(overridden)))
            judge.words = words_in(tree)
            exec(compile(test, "test", "exec"), TestGlobals(names, judge, overridden))
        except BaseException as e:
            why = f"{type(e).__name__}: {e}"[:500] or "failed"
        channel.send("=" + dumps([number, (judge.failure or why)[:500]]))
    channel.send("=" + dumps("end"))
    # Whoever reads this ends the process. If it ended by itself, a write to it could fail first, and with the write the
    # reading of what it has sent.
    while os.read(channel.fd, 65536):
        pass


try:
    begin()
except BaseException:
    # A fault of the judge, not of a test.
    sys.stderr = sys.__stderr__
    raise
