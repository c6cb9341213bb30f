# Values between the judge of a program and the program: JSON, with a tag where JSON has no such value. Read back, they are
# plain data of the standard library, whatever sent them. The scripts of both sides begin with this file.
import collections, json, math, os, sys

DEEPEST = 200
PLAIN = (int, float, bool, str, bytes, bytearray, complex, list, tuple, dict, set, frozenset, type(None), object, type, range)
PLAIN_TYPES = {t.__name__: t for t in PLAIN}
# Imported where a value needs them: they cost a process several milliseconds.
MODULES = {"Decimal": "decimal", "Fraction": "fractions", "datetime": "datetime", "date": "datetime", "time": "datetime", "timedelta": "datetime", "array": "array"}
PAIRS = {"dict": dict, "OrderedDict": collections.OrderedDict, "Counter": collections.Counter}
VIEWS = {"keys": type({}.keys()), "values": type({}.values()), "items": type({}.items())}
FACTORIES = (int, float, bool, str, list, tuple, dict, set)
LISTS = {"tuple": tuple, "set": set, "frozenset": frozenset, "deque": collections.deque}


class Unsendable(TypeError):
    """A value that is no data."""


class ChannelClosed(BaseException):
    """The other side has ended, or what it sends is no message."""


def tagged(kind, value):
    return {"t": kind, "v": value}


def text_of(x):
    x = str.__str__(x)
    try:
        x.encode("utf-8")
        return x
    except UnicodeEncodeError:
        # JSON's escapes would join two lone surrogates that stand side by side.
        return tagged("str", [ord(c) for c in x])


def number_of(x):
    if isinstance(x, bool):
        return bool(x)
    if isinstance(x, int):
        x = int.__add__(x, 0)
        return x if -(2**63) < x < 2**63 else tagged("int", hex(x))
    if isinstance(x, complex):
        return tagged("complex", [number_of(x.real), number_of(x.imag)])
    x = float.__add__(x, 0.0) if x else float.__float__(x)
    return x if math.isfinite(x) else tagged("float", repr(x))


def array_of(x, encode_object, depth):
    """NumPy's arrays and numbers, without importing it: whoever has one has imported it."""
    if hasattr(x, "tolist") and hasattr(x, "dtype") and hasattr(x, "shape"):
        if not x.shape:
            return encode(x.item(), encode_object, depth + 1)
        if x.dtype.kind in "biufc":
            return tagged("ndarray", [str(x.dtype), list(x.shape), encode(x.ravel().tolist(), encode_object, depth + 1)])
    return None


def container_of(x, encode_object, depth):
    def each(items):
        return [encode(item, encode_object, depth + 1) for item in items]

    if isinstance(x, list):
        return each(list.__iter__(x))
    if isinstance(x, tuple):
        fields = getattr(type(x), "_fields", None)
        if isinstance(fields, tuple) and len(fields) == tuple.__len__(x):
            return {"t": "named", "name": type(x).__name__, "fields": list(fields), "v": each(tuple.__iter__(x))}
        return tagged("tuple", each(tuple.__iter__(x)))
    if isinstance(x, collections.defaultdict) and any(x.default_factory is f for f in FACTORIES):
        return tagged("defaultdict", [x.default_factory.__name__, [each(pair) for pair in dict.items(x)]])
    if isinstance(x, dict):
        kind = next((k for k in ("OrderedDict", "Counter") if isinstance(x, PAIRS[k])), "dict")
        return tagged(kind, [each(pair) for pair in dict.items(x)])
    for kind, view in VIEWS.items():
        if isinstance(x, view):
            return tagged(kind, each(map(list, x) if kind == "items" else x))
    for kind, base in LISTS.items():
        if isinstance(x, base):
            return tagged(kind, each(base.__iter__(x)))
    return None


def imported_of(x, kind):
    if kind == "Decimal":
        return tagged(kind, str(x))
    if kind == "Fraction":
        return tagged(kind, [number_of(x.numerator), number_of(x.denominator)])
    if kind == "array":
        return tagged(kind, [x.typecode, x.tobytes().hex()])
    return tagged(kind, [x.days, x.seconds, x.microseconds] if kind == "timedelta" else x.isoformat())


def imported(kind, v, decode_tag):
    base = getattr(__import__(MODULES[kind]), kind)
    if kind == "Fraction":
        return base(*decode(v, decode_tag))
    if kind == "array":
        return base(v[0], bytes.fromhex(v[1]))
    if kind == "timedelta":
        return base(*v)
    return base(v) if kind == "Decimal" else base.fromisoformat(v)


def view(kind, v, decode_tag):
    """`d.keys()` and its like of a dictionary that has nothing else."""
    if kind == "values":
        return dict(enumerate(decode(v, decode_tag))).values()
    pairs = dict(decode(v, decode_tag)) if kind == "items" else dict.fromkeys(decode(v, decode_tag))
    return getattr(pairs, kind)()


def encode(x, encode_object, depth=0):
    """JSON of a value; what is no data is left to `encode_object(x)`, which may raise Unsendable."""
    if depth > DEEPEST:
        raise Unsendable("it is nested too deeply, or holds itself")
    if x is None:
        return None
    if isinstance(x, str):
        return text_of(x)
    if isinstance(x, (int, float, complex)):
        return number_of(x)
    if isinstance(x, (bytes, bytearray)):
        return tagged("bytearray" if isinstance(x, bytearray) else "bytes", bytes(x).hex())
    if isinstance(x, (list, tuple, dict, set, frozenset, collections.deque, *VIEWS.values())):
        return container_of(x, encode_object, depth)
    if isinstance(x, range):
        return tagged("range", [number_of(n) for n in (x.start, x.stop, x.step)])
    if type(x).__module__ == MODULES.get(type(x).__name__) and getattr(x, "tzinfo", None) is None:
        return imported_of(x, type(x).__name__)
    if isinstance(x, type) and PLAIN_TYPES.get(x.__name__) is x:
        return tagged("type", x.__name__)
    if x is Ellipsis:
        return tagged("ellipsis", None)
    if type(x) is slice:
        return tagged("slice", [encode(n, encode_object, depth + 1) for n in (x.start, x.stop, x.step)])
    made = array_of(x, encode_object, depth) if type(x).__module__ == "numpy" else None
    return encode_object(x) if made is None else made


def named(name, fields, values):
    # A function in a field would be a method of the tuple.
    return tuple(values) if any(callable(x) for x in values) else collections.namedtuple(name, fields)(*values)


def ndarray(dtype, shape, values):
    import numpy

    return numpy.array(values, dtype=dtype).reshape(shape)


def decode(j, decode_tag):
    """The value of a JSON; tags that are not data are left to `decode_tag(j)`."""
    if isinstance(j, list):
        return [decode(item, decode_tag) for item in j]
    if not isinstance(j, dict):
        return j
    kind, v = j.get("t"), j.get("v")
    if kind in PAIRS:
        pairs = [(decode(k, decode_tag), decode(x, decode_tag)) for k, x in v]
        return PAIRS[kind](dict(pairs)) if kind == "Counter" else PAIRS[kind](pairs)
    if kind in LISTS:
        return LISTS[kind](decode(v, decode_tag))
    if kind in MODULES:
        return imported(kind, v, decode_tag)
    if kind in VIEWS:
        return view(kind, v, decode_tag)
    if kind == "defaultdict":
        factory = next(f for f in FACTORIES if f.__name__ == v[0])
        return collections.defaultdict(factory, [(decode(k, decode_tag), decode(x, decode_tag)) for k, x in v[1]])
    if kind == "named":
        return named(j["name"], j["fields"], decode(v, decode_tag))
    simple = {
        "int": lambda: int(v, 16),
        "float": lambda: float(v),
        "str": lambda: "".join(map(chr, v)),
        "complex": lambda: complex(*decode(v, decode_tag)),
        "bytes": lambda: bytes.fromhex(v),
        "bytearray": lambda: bytearray.fromhex(v),
        "range": lambda: range(*decode(v, decode_tag)),
        "type": lambda: PLAIN_TYPES[v],
        "ellipsis": lambda: Ellipsis,
        "slice": lambda: slice(*decode(v, decode_tag)),
        "ndarray": lambda: ndarray(v[0], v[1], decode(v[2], decode_tag)),
    }.get(kind)
    return simple() if simple else decode_tag(j)


class Channel:
    """Lines of JSON over one descriptor."""

    def __init__(self, place):
        self.fd = os.open(place, os.O_RDWR) if isinstance(place, str) else place
        self.rest = b""
        self.close_others()

    def close_others(self):
        if not os.path.isdir("/proc/self/fd") or sys.platform == "emscripten":
            return
        for name in os.listdir("/proc/self/fd"):
            if int(name) > 2 and int(name) != self.fd:
                try:
                    os.close(int(name))
                except OSError:
                    pass

    def send(self, line):
        data = line.encode("ascii") + b"\n"
        while data:
            data = data[os.write(self.fd, data) :]

    def receive(self):
        parts = [self.rest]
        while b"\n" not in parts[-1]:
            chunk = os.read(self.fd, 65536)
            if not chunk:
                raise ChannelClosed("the channel is closed")
            parts.append(chunk)
        line, _, self.rest = b"".join(parts).partition(b"\n")
        return line.decode("ascii", "replace")


def dumps(message):
    return json.dumps(message, separators=(",", ":"), allow_nan=False)
