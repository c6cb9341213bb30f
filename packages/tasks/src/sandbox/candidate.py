# The side of the program under test: runs the program once, then answers one request at a time. No test and no expected value
# is sent to this process. The program may change everything in it, and what it sends is its answer, no more.
import builtins, operator, types

OPERATIONS = {name: getattr(operator, name) for name in dir(operator) if not name.startswith("_")}
BUILT_IN = (len, iter, next, str, repr, bool, hash, int, float, complex, round, abs, format, isinstance, issubclass, reversed)
OPERATIONS |= {f.__name__: f for f in (*BUILT_IN, getattr, setattr, delattr, dir)}
OPERATIONS["await"] = lambda x: __import__("asyncio").run(x)
OPERATIONS |= {name: lambda x, name=name: getattr(__import__("copy"), name)(x) for name in ("copy", "deepcopy")}
OPERATIONS["enter"] = lambda x: type(x).__enter__(x)
OPERATIONS["exit"] = lambda x: type(x).__exit__(x, None, None, None)


class Candidate:
    def __init__(self, channel, names):
        self.channel, self.names = channel, names
        self.objects, self.numbers = [], {}

    def number(self, x):
        if id(x) not in self.numbers:
            self.numbers[id(x)] = len(self.objects)
            self.objects.append(x)
        return self.numbers[id(x)]

    def exception_class(self, c):
        if getattr(builtins, c.__name__, None) is c:
            return c.__name__
        bases = [self.exception_class(b) for b in c.__bases__ if issubclass(b, BaseException)]
        return {"id": self.number(c), "name": c.__name__, "bases": bases}

    def bases(self, c):
        return [self.number(base) for base in c.__mro__ if base is not object]

    def encode_object(self, x):
        if isinstance(x, types.ModuleType):
            return tagged("module", x.__name__)
        if isinstance(x, type) and issubclass(x, BaseException):
            return tagged("exception", self.exception_class(x))
        kind = "class" if isinstance(x, type) else "coroutine" if type(x) is types.CoroutineType else "object"
        c = x if kind == "class" else type(x)
        # A function can be called and an iterator iterated, whatever its class.
        does = "call" if callable(x) and kind != "class" else "next" if hasattr(c, "__next__") else ""
        return {"t": kind, "v": self.number(x), "of": self.bases(c), "name": c.__name__, "does": does}

    def decode_tag(self, j):
        if j["t"] == "ref":
            return self.objects[j["v"]]
        if j["t"] == "builtin":
            return getattr(builtins, j["v"])
        if j["t"] == "callback":
            return lambda *args, **kwargs: self.call_back(j["v"], args, kwargs)
        if j["t"] == "iterator":
            return (x for got in iter(lambda: self.call_back(j["v"], (), {}), []) for x in got)
        raise Unsendable(f"no value is called {j['t']}")

    def encode(self, x):
        return encode(x, self.encode_object)

    def decode(self, j):
        return decode(j, self.decode_tag)

    def call_back(self, number, args, kwargs):
        self.channel.send(dumps(["callback", number, self.encode(list(args)), self.encode(kwargs)]))
        how, value = self.serve()
        if how == "raise":
            raise getattr(builtins, value[0], RuntimeError)(*value[1])
        return self.decode(value)

    def call(self, function, args, kwargs):
        """The result, and of each argument that was changed its new value."""
        args, kwargs = self.decode(args), self.decode(kwargs)
        inputs = dict(enumerate(args)) | kwargs
        mutable = {k: x for k, x in inputs.items() if isinstance(x, (list, dict, set, bytearray, collections.deque))}
        before = {k: dumps(self.encode(x)) for k, x in mutable.items()}
        result = self.decode(function)(*args, **kwargs)
        value = self.encode(result)
        changed = []
        for k, x in mutable.items():
            try:
                after = self.encode(x)
            except Unsendable:
                continue
            if dumps(after) != before[k]:
                changed.append([k, after])
        return [value, changed]

    def perform(self, message):
        action, *rest = message
        if action == "name":
            return [self.encode(self.names[rest[0]]), []] if rest[0] in self.names else [tagged("missing", None), []]
        if action == "call":
            return self.call(*rest)
        return [self.encode(OPERATIONS[rest[0]](*self.decode(rest[1]))), []]

    def error(self, e):
        try:
            args = self.encode(list(e.args))
        except Exception:
            args = [str(e)]
        state = {}
        for name, x in getattr(e, "__dict__", {}).items():
            try:
                state[name] = encode(x, self.encode_object)
            except Exception:
                pass
        return ["raise", {"class": self.exception_class(type(e)), "args": args, "state": state}]

    def serve(self):
        """Answers requests until the result of a callback of the test is received."""
        while True:
            message = json.loads(self.channel.receive())
            if message[0] == "result":
                return message[1], message[2]
            try:
                answer = dumps(["ok", *self.perform(message)])
            except ChannelClosed:
                raise
            except BaseException as e:
                answer = dumps(self.error(e))
            self.channel.send(answer)


def begin():
    channel = Channel(CHANNEL)
    module = types.ModuleType("solution")
    sys.modules["solution"] = module
    try:
        with open(SOLUTION, encoding="utf-8", errors="surrogateescape") as file:
            code = compile(file.read(), "solution.py", "exec")
        exec(code, module.__dict__)
    except BaseException as e:
        if not isinstance(e, SystemExit):
            import traceback

            traceback.print_exception(type(e), e, e.__traceback__.tb_next)
        return 1
    channel.send('"ready"')
    try:
        Candidate(channel, module.__dict__).serve()
    except ChannelClosed:
        return 0


sys.exit(begin())
