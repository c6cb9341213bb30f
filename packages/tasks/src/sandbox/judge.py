# The side of the tests: runs them where the program under test is not. A name that a test leaves open stands for the program's
# own and is a stub that asks it, over a channel, one call at a time; what comes back is data, and Python compares it here.
import ast, builtins, itertools

CONTROL = (StopIteration, StopAsyncIteration, GeneratorExit, SystemExit, KeyboardInterrupt)
# Helpers of tests that a program must not bring itself, unless one of them is all that is tested.
HELPERS = {name: "math" for name in ("isclose", "fabs", "pi", "inf", "nan")}
HELPERS |= {name: "collections" for name in ("Counter", "OrderedDict", "defaultdict", "deque", "namedtuple")}
HELPERS |= {"Fraction": "fractions", "Decimal": "decimal"}
ALIASES = {"np": "numpy", "pd": "pandas", "sp": "sympy"}


class Refused(TypeError):
    """What would let an object of the program judge itself."""


class Remote:
    """An object of the program. Whatever is done to it is asked of the program; compared with data it is refused."""

    def __init__(self, judge, number, of):
        object.__setattr__(self, "_remote", (judge, number, of))

    def __getattr__(self, name):
        return self._remote[0].operate("getattr", self, name)

    def __setattr__(self, name, value):
        self._remote[0].operate("setattr", self, name, value)

    def __delattr__(self, name):
        self._remote[0].operate("delattr", self, name)

    def __call__(self, *args, **kwargs):
        return self._remote[0].call(self, args, kwargs)

    def __hash__(self):
        return self._remote[0].operate("hash", self)

    def __instancecheck__(self, x):
        return isinstance(x, Remote) and self._remote[0].operate("isinstance", x, self)

    def __subclasscheck__(self, x):
        return isinstance(x, Remote) and self._remote[0].operate("issubclass", x, self)

    def __contains__(self, x):
        judge = self._remote[0]
        if isinstance(x, Remote) or judge.is_tested(self):
            return judge.operate("contains", self, x)
        # It is not asked whether it holds a value that a test expects, but what it holds.
        return any(x == item for item in self)

    def __exit__(self, *_):
        return self._remote[0].operate("exit", self)


def asks(operation):
    return lambda self, *args: self._remote[0].operate(operation, self, *args)


def compares(operation):
    def method(self, x):
        if self is x or x is None:
            return (self is x) == (operation != "ne")
        if not isinstance(x, Remote):
            raise Refused("an object of the program cannot be compared with data")
        return bool(self._remote[0].operate(operation, self, x))

    return method


def combines(operation, turned=False):
    def method(self, x):
        if not isinstance(x, Remote):
            # `abs(f(x) - 1.5) < 1e-6` with an object that makes any difference 0.
            number = isinstance(x, (int, float, complex))
            if not self._remote[0].is_tested(self) or (number and operation in ("sub", "truediv")):
                raise Refused("an object of the program cannot be combined with data")
        return self._remote[0].operate(operation, *((x, self) if turned else (self, x)))

    return method


ASKED = "len iter next str repr bool int float complex index reversed abs neg pos invert round getitem setitem delitem format enter dir"
COMBINED = "add sub mul truediv floordiv mod pow matmul and or xor lshift rshift"
for _name in ASKED.split():
    setattr(Remote, f"__{_name}__", asks(_name))
for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    setattr(Remote, f"__{_name}__", compares(_name))
for _name in COMBINED.split():
    _operation = _name + "_" if _name in ("and", "or") else _name
    setattr(Remote, f"__{_name}__", combines(_operation))
    setattr(Remote, f"__r{_name}__", combines(_operation, True))


class Judge:
    def __init__(self, channel, source):
        self.channel = channel
        self.remotes, self.exceptions, self.callbacks = {}, {}, []
        self.tested, self.watched = set(), set()
        self.source = source

    def is_tested(self, remote):
        """Whether its class is one that a test names: then what it does with data is what is tested."""
        return remote._remote[2] in self.tested

    def exception_class(self, j):
        if isinstance(j, str):
            found = getattr(builtins, j, None)
            return found if isinstance(found, type) and issubclass(found, BaseException) else RuntimeError
        if j["id"] not in self.exceptions:
            bases = tuple(dict.fromkeys(self.exception_class(b) for b in j["bases"])) or (Exception,)
            self.exceptions[j["id"]] = type(str(j["name"]), bases, {})
        return self.exceptions[j["id"]]

    def made(self, j):
        if j["t"] in ("class", "object"):
            number = j["v"]
            return self.remotes.setdefault(number, Remote(self, number, j["of"]))
        if j["t"] == "coroutine":
            return self.awaited(Remote(self, j["v"], j["of"]))
        if j["t"] == "exception":
            return self.exception_class(j["v"])
        if j["t"] == "module" and j["v"] in sys.stdlib_module_names:
            return __import__(j["v"])
        raise Refused(f"a value of the kind {j['t']}")

    async def awaited(self, remote):
        return self.operate("await", remote)

    def other(self, x):
        if isinstance(x, Remote):
            return tagged("ref", x._remote[1])
        for number, c in self.exceptions.items():
            if c is x:
                return tagged("ref", number)
        if callable(x) and getattr(builtins, getattr(x, "__name__", ""), None) is x:
            return tagged("builtin", x.__name__)
        if isinstance(x, (type({}.keys()), type({}.values()), type({}.items()))):
            return self.encode(list(x))
        if callable(x) or hasattr(x, "__next__"):
            self.callbacks.append(x if callable(x) else lambda: list(itertools.islice(x, 1)))
            return tagged("callback" if callable(x) else "iterator", len(self.callbacks) - 1)
        raise Unsendable(f"a {type(x).__name__} cannot be given to the program")

    def encode(self, x):
        return encode(x, self.other)

    def decode(self, j):
        try:
            return decode(j, self.made)
        except (KeyError, ValueError, AttributeError, IndexError, ArithmeticError) as e:
            raise Refused(f"what the program sent is no value: {e}") from None

    def answer_callback(self, number, args, kwargs):
        try:
            result = ["result", "ok", self.encode(self.callbacks[number](*self.decode(args), **self.decode(kwargs)))]
        except Exception as e:
            result = ["result", "raise", [type(e).__name__, [str(e)]]]
        self.channel.send(">" + dumps(result))

    def ask(self, message):
        """Sends one request; the value and the changed arguments, or the program's exception."""
        self.channel.send(">" + dumps(message))
        while True:
            line = self.channel.receive()
            if line == "!":
                raise Gone("the program has ended")
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
                raise Gone("what the program sent is no message") from None
            self.answer_callback(number, args, kwargs)
        raise error

    def exception_of(self, j, message):
        c = self.exception_class(j["class"])
        iterates = message[:2] == ["do", "next"] and c is StopIteration
        # Out of a call they would end a loop of the test, or the test.
        if issubclass(c, CONTROL) and not iterates and c.__name__ not in self.source:
            return RuntimeError(f"the program raised {c.__name__}")
        args = self.decode(j["args"])
        try:
            error = c(*args)
        except Exception:
            error = c.__new__(c)
            error.args = tuple(args)
        for name, x in j["state"].items():
            if not name.startswith("__"):
                try:
                    setattr(error, name, self.decode(x))
                except Exception:
                    pass
        return error

    def name(self, name):
        value, _ = self.ask(["name", name])
        if isinstance(value, dict) and value.get("t") == "missing":
            raise KeyError(name)
        if isinstance(value, dict) and value.get("t") == "class":
            self.tested.add(value["v"])
        return self.decode(value)

    def operate(self, operation, *args):
        return self.decode(self.ask(["do", operation, self.encode(list(args))])[0])

    def call(self, remote, args, kwargs):
        value, changed = self.ask(["call", self.encode(remote), self.encode(list(args)), self.encode(kwargs)])
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


def names_in(node, kind):
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, kind)}


def functions_in(tree):
    return {n.name for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))}


def bound_in(tree):
    out = names_in(tree, (ast.Store, ast.Del))
    out |= functions_in(tree)
    for n in ast.walk(tree):
        if isinstance(n, ast.arg):
            out.add(n.arg)
        elif isinstance(n, ast.alias):
            out.add((n.asname or n.name).split(".")[0])
        elif isinstance(n, ast.ExceptHandler) and n.name:
            out.add(n.name)
    return out


def outside_calls(node, known):
    """Names of an expression that are not arguments of the program's functions."""
    if isinstance(node, ast.Call) and not (isinstance(node.func, ast.Name) and node.func.id in known):
        return set()
    own = {node.id} if isinstance(node, ast.Name) else set()
    return own.union(*(outside_calls(child, known) for child in ast.iter_child_nodes(node)))


def watched_in(tree, known):
    """
    Arguments that a test looks at after the call: those of a call whose result it leaves, or compared with a constant.
    `known` are names of functions that are not the program's.
    """
    calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call)]
    calls = [n for n in calls if not (isinstance(n.func, ast.Name) and n.func.id in known)]
    arguments = {n: [*n.args, *(k.value for k in n.keywords)] for n in calls}
    given = {n: {a.id for a in own if isinstance(a, ast.Name)} for n, own in arguments.items()}
    out = set()
    for n in ast.walk(tree):
        if isinstance(n, ast.Expr) and n.value in given:
            out |= given[n.value]
        elif isinstance(n, ast.Compare):
            sides = [n.left, *n.comparators]
            if any(not names_in(side, ast.Load) - set(dir(builtins)) for side in sides):
                out |= set().union(*(outside_calls(side, known) for side in sides)) & set().union(*given.values())
    return out


class Names:
    """Which open names of the tests are the program's."""

    def __init__(self, trees):
        self.open, self.called = set(), set()
        modules = set()
        for tree in trees:
            used = names_in(tree, ast.Load) - bound_in(tree)
            bases = {n.value.id for n in ast.walk(tree) if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name)}
            plain = {n.func.id for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
            self.called |= {n for n in used & plain if hasattr(builtins, n)}
            known = {n for n in used if n in sys.stdlib_module_names or n in ALIASES}
            modules |= (known & bases) - plain
            self.open |= {n for n in used if not hasattr(builtins, n)}
        self.own = {n: ALIASES.get(n, n) for n in modules}
        rest = self.open - set(self.own)
        self.helpers = {n for n in rest if n in HELPERS} if rest - set(HELPERS) else set()
        # `sum(10, 15) == 6`: a program may define a name of Python's own, if no other name is tested and it is the only one.
        self.shadowed = not rest

    def find(self, name, judge):
        if name in self.own:
            return __import__(self.own[name])
        if name in self.helpers:
            return getattr(__import__(HELPERS[name]), name)
        if hasattr(builtins, name):
            raise KeyError(name)
        return judge.name(name)


class Space(dict):
    def __init__(self, names, judge, shadows):
        super().__init__(__name__="solution", __builtins__=builtins, **shadows)
        self.names, self.judge = names, judge

    def __missing__(self, name):
        self[name] = value = self.names.find(name, self.judge)
        return value


def shadows_of(names, judge):
    out = {}
    for name in sorted(names.called) if names.shadowed else []:
        try:
            out[name] = judge.name(name)
        except KeyError:
            pass
    return out if len(out) == 1 else {}


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
    with open(TESTS, encoding="ascii") as file:
        tests = json.load(file)
    # "ready" of the program, or its end.
    started = channel.receive() == '"ready"'
    judge = Judge(channel, "\n".join(tests))
    sys.modules["solution"] = module = Solution("solution")
    module._judge = judge
    trees = [parsed(test) for test in tests]
    names = Names(trees)
    shadows = {}
    try:
        shadows = shadows_of(names, judge) if started else {}
    except (Exception, Gone):
        pass
    for number, (test, tree) in enumerate(zip(tests, trees)):
        why = ""
        try:
            if not started:
                raise Gone("the program did not start")
            judge.watched = watched_in(tree, functions_in(tree) | (set(dir(builtins)) - set(shadows)))
            exec(compile(test, "test", "exec"), Space(names, judge, shadows))
        except BaseException as e:
            why = f"{type(e).__name__}: {e}"[:500] or "failed"
        channel.send("=" + dumps([number, why]))
    channel.send("=" + dumps("end"))


begin()
