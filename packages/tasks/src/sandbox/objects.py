# Objects of the program as the tests hold them: a number, and which operations on it are requested of the program. Part of
# the judge's script.
#
# One rule decides. An object may always be given back to the program, its attributes read where they are data, and it may be
# called, iterated or entered where it is a function, an iterator or a context manager: no data of the test goes with that
# but the arguments of a call. Everything else is for objects of a class that the tests use as a class (names.py). What comes
# back is data, which Python compares here, or again such an object; whatever breaks the rule fails the test.


class Refused(TypeError):
    """What would let an object of the program decide a verdict."""


class ProgramObject:
    """An object of the program, of the judge that holds it, with what the program's side states of it."""

    def __init__(self, judge, message):
        object.__setattr__(self, "_program", (judge, message))

    def __getattr__(self, name):
        judge, about = self._program
        value = judge.operate("getattr", self, name)
        resumes = about.get("does") == "next" and name in ("send", "throw", "close")
        method = isinstance(value, ProgramObject) and value._program[1].get("does") == "call"
        if method and not resumes and not judge.is_tested(self):
            judge.refuse(f"{describe(self)} is no data, so its method {name} decides nothing")
        return value

    def __setattr__(self, name, value):
        tested(self, "setattr").operate("setattr", self, name, value)

    def __delattr__(self, name):
        tested(self, "delattr").operate("delattr", self, name)

    def __call__(self, *args, **kwargs):
        judge, about = self._program
        if about["t"] != "class" and about.get("does") != "call":
            tested(self, "call")
        return judge.call(self, args, kwargs)

    def __iter__(self):
        judge, about = self._program
        if about.get("does") == "next":
            return self
        return tested(self, "iter").operate("iter", self)

    def __next__(self):
        judge, about = self._program
        return (judge if about.get("does") == "next" else tested(self, "next")).operate("next", self)

    def __len__(self):
        judge, about = self._program
        if about.get("does") == "next" and not judge.is_tested(self):
            # `list` tries the length of every iterator.
            raise TypeError("an iterator has no length")
        return tested(self, "len").operate("len", self)

    def __contains__(self, x):
        judge, about = self._program
        if about.get("does") == "next" and not judge.is_tested(self):
            return any(x == item for item in self)
        return tested(self, "contains").operate("contains", self, x)

    def __hash__(self):
        judge, about = self._program
        if about["t"] == "class" or about.get("does") == "call":
            return hash(about["v"])
        return tested(self, "hash").operate("hash", self)

    def __repr__(self):
        judge, about = self._program
        return judge.operate("repr", self) if judge.is_tested(self) else f"<{describe(self)}>"

    # Of a class, the program's side has stated the bases; nothing is requested.
    def __instancecheck__(self, x):
        return isinstance(x, ProgramObject) and x._program[1]["t"] != "class" and number_of_object(self) in bases(x)

    def __subclasscheck__(self, x):
        return isinstance(x, ProgramObject) and x._program[1]["t"] == "class" and number_of_object(self) in bases(x)

    def __enter__(self):
        return self._program[0].operate("enter", self)

    def __exit__(self, *error):
        # It sees no exception, and ends none: that may be the test's own assertion.
        self._program[0].operate("exit", self)

    def __reduce_ex__(self, protocol):
        self._program[0].refuse(f"{describe(self)} cannot be copied by pickle")

    def __copy__(self):
        return tested(self, "copy").operate("copy", self)

    def __deepcopy__(self, memo):
        return tested(self, "deepcopy").operate("deepcopy", self)


def describe(x):
    about = x._program[1]
    return f"{'a class' if about['t'] == 'class' else 'an object'} of the program ({about.get('name')})"


def number_of_object(x):
    return x._program[1]["v"]


def bases(x):
    return x._program[1]["of"]


def tested(x, operation):
    """The judge of an object whose class the tests use; refuses any other."""
    judge = x._program[0]
    if not judge.is_tested(x):
        judge.refuse(f"{describe(x)} is no data and of no class that the tests use: {operation} decides nothing")
    return judge


def forwarded(operation):
    return lambda self, *args: tested(self, operation).operate(operation, self, *args)


def number_or_truth(operation):
    """Of an object that an operator made with data of the test, such as a difference from what is expected, it has none."""

    def method(self, *args):
        judge = tested(self, operation)
        if number_of_object(self) in judge.derived:
            judge.refuse(f"{describe(self)} was made with data of the test: {operation} of it decides nothing")
        result = judge.operate(operation, self, *args)
        if operation == "bool" and not isinstance(result, bool):
            judge.refuse(f"{describe(self)} has no truth value")
        return result

    return method


def compared(operation):
    def method(self, x):
        judge = self._program[0]
        if x is None and operation in ("eq", "ne"):
            return operation == "ne"
        if not isinstance(x, ProgramObject):
            judge.refuse(f"{describe(self)} is compared with data")
        tested(self, operation), tested(x, operation)
        # Unequal is what is not equal: an `__ne__` of its own could call everything both.
        result = judge.operate("eq" if operation == "ne" else operation, self, x)
        if not isinstance(result, bool):
            judge.refuse(f"the comparison of {describe(self)} is neither true nor false")
        return result != (operation == "ne")

    return method


def combined(operation, reflected=False):
    """An operator; with data of the test it may give only an object of the program, which then is neither number nor truth."""

    def method(self, x):
        judge = tested(self, operation)
        result = judge.operate(operation, *((x, self) if reflected else (self, x)))
        return derived(self, operation, result) if holds_data(judge, self) or holds_data(judge, x) else result

    return method


def holds_data(judge, x):
    return not isinstance(x, ProgramObject) or number_of_object(x) in judge.derived


def derived(x, operation, result):
    """The result of an operator that had data of the test, marked so."""
    judge = x._program[0]
    if not isinstance(result, ProgramObject):
        judge.refuse(f"{describe(x)} gives data for data of the test: {operation} decides nothing")
    judge.derived.add(number_of_object(result))
    return result


def unary(operation):
    def method(self):
        judge = tested(self, operation)
        result = judge.operate(operation, self)
        return derived(self, operation, result) if holds_data(judge, self) else result

    return method


FORWARDED = "str reversed getitem setitem delitem format dir"
NUMBERS = "bool int float complex index round"
UNARY = "abs neg pos invert"
COMBINED = "add sub mul truediv floordiv mod pow matmul and or xor lshift rshift"
for _name in FORWARDED.split():
    setattr(ProgramObject, f"__{_name}__", forwarded(_name))
for _name in NUMBERS.split():
    setattr(ProgramObject, f"__{_name}__", number_or_truth(_name))
for _name in UNARY.split():
    setattr(ProgramObject, f"__{_name}__", unary(_name))
for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    setattr(ProgramObject, f"__{_name}__", compared(_name))
for _name in COMBINED.split():
    _operation = _name + "_" if _name in ("and", "or") else _name
    setattr(ProgramObject, f"__{_name}__", combined(_operation))
    setattr(ProgramObject, f"__i{_name}__", combined(f"i{_name}"))
    setattr(ProgramObject, f"__r{_name}__", combined(_operation, True))
