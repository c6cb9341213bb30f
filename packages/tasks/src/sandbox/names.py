# Names of the tests, read from their syntax before anything runs: which are the program's, which of those are classes that
# the tests use as classes, and which arguments a test reads after a call. Part of the judge's script.
import ast, builtins, functools, itertools

ALIASES = {"np": "numpy", "pd": "pandas", "sp": "sympy"}
# Exports of standard modules that a test may use without an import; modules that are costly to load are listed by name.
EXPORTS = {n: m for m in (math, itertools, functools, collections) for n in dir(m) if n[0] != "_"}
for _module, _names in {
    "fractions": "Fraction",
    "decimal": "Decimal",
    "datetime": "date datetime timedelta",
    "statistics": "correlation covariance fmean geometric_mean harmonic_mean linear_regression mean median median_grouped "
    "median_high median_low mode multimode pstdev pvariance quantiles stdev variance",
    "heapq": "heapify heappop heappush heappushpop heapreplace merge nlargest nsmallest",
    "bisect": "bisect bisect_left bisect_right insort insort_left insort_right",
    "copy": "copy deepcopy",
    "operator": "attrgetter itemgetter methodcaller",
    "random": "randint randrange uniform",
    "string": "ascii_letters ascii_lowercase ascii_uppercase digits hexdigits punctuation whitespace",
}.items():
    EXPORTS |= dict.fromkeys(_names.split(), _module)
# `pow` is Python's own, and `abc` a module.
EXPORTS = {n: m for n, m in EXPORTS.items() if n != "abc" and not hasattr(builtins, n)}
# Through these a test reaches names that its syntax does not show.
INDIRECT = {"eval", "exec", "globals", "locals", "vars", "getattr", "__import__"}
PLAIN_ATTRIBUTES = set().union(*(dir(t) for t in (*PLAIN, collections.deque, collections.Counter)))


def exported(name):
    """The object of this name of a standard module. Throws KeyError where no module has it."""
    module = EXPORTS[name]
    module = __import__(module) if isinstance(module, str) else module
    if not hasattr(module, name):
        raise KeyError(name)
    return getattr(module, name)


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


def words_in(tree):
    """Every name that the test writes, as a name or behind a dot."""
    return names_in(tree, ast.expr_context) | {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)}


def imports_solution(tree):
    imports = [n for n in ast.walk(tree) if isinstance(n, (ast.Import, ast.ImportFrom))]
    return any("solution" in [getattr(n, "module", None), *(a.name for a in n.names)] for n in imports)


def called(node):
    """Names that are called, in the order of the text."""
    calls = [n for n in ast.walk(node) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)]
    return sorted(calls, key=lambda n: (n.lineno, n.col_offset))


def subject(tree, names):
    """Of several names, the one that is tested: the first that is called without a call of another among its arguments."""
    for call in called(tree):
        inner = {c.func.id for a in (*call.args, *call.keywords) for c in called(a)}
        if call.func.id in names and not inner & (names - {call.func.id}):
            return {call.func.id}
    return set()


def constants_in(tree):
    """Variables of a test that are made of constants and Python's own functions alone."""
    values = {}
    for n in ast.walk(tree):
        targets = n.targets if isinstance(n, ast.Assign) else [n.target] if isinstance(n, (ast.For, ast.AnnAssign)) else []
        value = n.iter if isinstance(n, ast.For) else getattr(n, "value", None)
        for target in targets if value else []:
            for name in names_in(target, ast.Store):
                values.setdefault(name, set()).update(names_in(value, ast.Load))
    out = set(values)
    while dirty := {n for n in out if not all(v in out or hasattr(builtins, v) for v in values[n])}:
        out -= dirty
    return out


def imported_in(tree):
    """Names that the test imports, but for those of the program."""
    out = set()
    for n in ast.walk(tree):
        if isinstance(n, (ast.Import, ast.ImportFrom)) and getattr(n, "module", None) != "solution":
            out |= {(a.asname or a.name).split(".")[0] for a in n.names}
    return out - {"solution"}


def alone_in(tree, used, modules):
    """Names of `used` that are an assertion's only name but for Python's own, imports, constants and the test case itself."""
    ignored = constants_in(tree) | set(dir(builtins)) | modules | imported_in(tree)
    for n in ast.walk(tree):
        method = isinstance(n, ast.Expr) and isinstance(n.value, ast.Call) and isinstance(n.value.func, ast.Attribute)
        if isinstance(n, ast.Assert):
            found = names_in(n, ast.Load)
        elif method and n.value.func.attr.startswith("assert") and isinstance(n.value.func.value, ast.Name):
            found = set().union(*(names_in(a, ast.Load) for a in (*n.value.args, *n.value.keywords)))
        else:
            continue
        found -= names_in(n, ast.Store) | ignored
        if len(found) == 1:
            yield from found & used


def modules_in(tree, used):
    """Modules of the standard library that a test uses without an import: before a dot, and never called."""
    bases = {n.value.id for n in ast.walk(tree) if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name)}
    plain = {n.func.id for n in called(tree)}
    return {n for n in used & bases if n in sys.stdlib_module_names or n in ALIASES} - plain


class Names:
    """Which open names of the tests are the program's: `entries`, and every name that Python does not have."""

    def __init__(self, trees):
        free = [names_in(tree, ast.Load) - bound_in(tree) for tree in trees]
        self.own = {n: ALIASES.get(n, n) for tree, used in zip(trees, free) for n in modules_in(tree, used)}
        rest = [{n for n in used if not hasattr(builtins, n)} - set(self.own) for used in free]
        # A name of a standard module is the program's where a test or an assertion has no other, or no test has a name of
        # no module.
        self.entries = set().union(*rest) - set(EXPORTS)
        self.entries |= set().union(*(used for used in rest if len(used) == 1))
        for tree, used in zip(trees, rest):
            self.entries |= set(alone_in(tree, used, set(self.own)))
        if not self.entries:
            self.entries = set().union(*(subject(tree, used) for tree, used in zip(trees, rest)))
        # `sum(10, 15) == 2`: a program is tested for a name of Python's own if the tests leave no other name open.
        self.builtins = set()
        for tree, used in zip(trees, free) if not any(rest) else []:
            if not imports_solution(tree) and not names_in(tree, ast.Load) & INDIRECT:
                self.builtins |= subject(tree, used & {call.func.id for call in called(tree)})

    def find(self, name, judge):
        """The object of an open name. Throws KeyError."""
        if name in self.own:
            return __import__(self.own[name])
        if name in EXPORTS and name not in self.entries:
            return exported(name)
        if hasattr(builtins, name):
            raise KeyError(name)
        return judge.name(name)


class ClassUse:
    """
    Which names the tests use as classes of the program: in `isinstance`, or with a capital and an instance whose attributes
    the tests use, that they print with `str` or compare with another. A function's result is never used so.
    """

    def __init__(self, trees):
        self.classes = set()
        self.parameters, self.instances, self.empty = {}, {}, set()
        for tree in trees:
            self.parameters, self.instances, self.empty = {}, {}, set()
            nodes = list(ast.walk(tree))
            for n in nodes:
                self.pass_on(n, {d.name: d for d in nodes if isinstance(d, ast.FunctionDef)})
            # Twice: a name may be used before the statement that binds it in the text's order.
            for _ in range(2):
                for n in nodes:
                    self.bind(n)
            for n in nodes:
                self.classes |= {c for c in self.used(n) if c}

    def pass_on(self, n, functions):
        """`check(Stack)`: the parameter names the class, too; so does `from solution import Stack as S`."""
        if isinstance(n, ast.Call) and isinstance(n.func, ast.Name) and n.func.id in functions:
            for parameter, a in zip(functions[n.func.id].args.args, n.args):
                if isinstance(a, ast.Name):
                    self.parameters[parameter.arg] = a.id
        elif isinstance(n, ast.ImportFrom) and n.module == "solution":
            self.parameters |= {a.asname: a.name for a in n.names if a.asname}

    def class_of(self, n):
        """The capital name that an expression is, or None."""
        if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name) and n.value.id == "solution":
            name = n.attr
        elif isinstance(n, ast.Name):
            name = self.parameters.get(n.id, n.id)
        else:
            return None
        return name if name.lstrip("_")[:1].isupper() and not hasattr(builtins, name) else None

    def instance(self, n):
        """The name of the class of which an expression is an instance, or None."""
        if isinstance(n, ast.Call):
            return self.class_of(n.func)
        if isinstance(n, (ast.Name, ast.Attribute)):
            return self.instances.get(n.id if isinstance(n, ast.Name) else "." + n.attr)
        if isinstance(n, ast.BinOp):
            return self.instance(n.left) or self.instance(n.right)
        if isinstance(n, (ast.UnaryOp, ast.NamedExpr)):
            return self.instance(n.operand if isinstance(n, ast.UnaryOp) else n.value)
        return None

    def bind(self, n):
        if isinstance(n, (ast.Assign, ast.AnnAssign, ast.NamedExpr)) and n.value:
            targets, value = n.targets if isinstance(n, ast.Assign) else [n.target], n.value
        elif isinstance(n, ast.withitem) and n.optional_vars:
            targets, value = [n.optional_vars], n.context_expr
        else:
            return
        found = self.instance(value)
        for target in targets if found else []:
            key = target.id if isinstance(target, ast.Name) else "." + getattr(target, "attr", "")
            self.instances[key] = found
            if isinstance(value, ast.Call) and not value.args and not value.keywords:
                self.empty.add(key)

    def used(self, n):
        if isinstance(n, ast.Attribute):
            yield self.class_of(n.value)
            v = n.value
            bare = isinstance(v, ast.Call) and not v.args and not v.keywords
            bare = bare or (v.id if isinstance(v, ast.Name) else "." + getattr(v, "attr", "")) in self.empty
            if bare or n.attr not in PLAIN_ATTRIBUTES or isinstance(n.ctx, ast.Store):
                yield self.instance(v)
        elif isinstance(n, ast.Compare):
            sides = [self.instance(x) for x in (n.left, *n.comparators)]
            yield sides[0] if sides[0] in sides[1:] else None
        elif isinstance(n, ast.Call) and isinstance(n.func, (ast.Name, ast.Attribute)) and n.args:
            name = n.func.id if isinstance(n.func, ast.Name) else n.func.attr
            if name in ("str", "repr"):
                yield self.instance(n.args[0])
            elif name in ("isinstance", "issubclass", "assertIsInstance") and len(n.args) > 1:
                for c in getattr(n.args[1], "elts", [n.args[1]]):
                    yield self.parameters.get(c.id, c.id) if isinstance(c, ast.Name) else getattr(c, "attr", None)


def outside_calls(node, functions):
    """Names of an expression that are not arguments of the program's functions."""
    if isinstance(node, ast.Call) and not (isinstance(node.func, ast.Name) and node.func.id in functions):
        return set()
    own = {node.id} if isinstance(node, ast.Name) else set()
    return own.union(*(outside_calls(child, functions) for child in ast.iter_child_nodes(node)))


def watched_in(tree, functions):
    """
    Arguments that a test reads after the call: those of a call whose result it leaves, or compared with a constant.
    `functions` are names of functions that are not the program's.
    """
    calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call)]
    calls = [n for n in calls if not (isinstance(n.func, ast.Name) and n.func.id in functions)]
    arguments = {n: [*n.args, *(k.value for k in n.keywords)] for n in calls}
    given = {n: {a.id for a in own if isinstance(a, ast.Name)} for n, own in arguments.items()}
    out = set()
    for n in ast.walk(tree):
        if isinstance(n, ast.Expr) and n.value in given:
            out |= given[n.value]
        elif isinstance(n, ast.Compare):
            sides = [n.left, *n.comparators]
            if any(not names_in(side, ast.Load) - set(dir(builtins)) for side in sides):
                out |= set().union(*(outside_calls(side, functions) for side in sides)) & set().union(*given.values())
    return out
