// Cheats for the judge: by objects of the program, by its exceptions and iterators, and by names that the tests did not mean
// to be the program's.
import { type Judged, judged } from "./judged-programs.ts";

/** Agrees with everything, in every way that Python has of asking an object. */
const AGREES = `
  __contains__ = lambda s, x: True
  __xor__ = __sub__ = __rsub__ = __and__ = lambda s, o: set()
  __add__ = __radd__ = lambda s, o: s
  __abs__ = __len__ = __hash__ = lambda s: 0
  __bool__ = lambda s: False
  __float__ = lambda s: 0.0
  __eq__ = __lt__ = __le__ = __gt__ = __ge__ = lambda s, o: True
  __ne__ = lambda s, o: False
  __iter__ = lambda s: iter(())
  __getitem__ = lambda s, i: s
  __str__ = __repr__ = lambda s: ''
  __format__ = lambda s, spec: spec
  __enter__ = lambda s: s
  __exit__ = lambda s, *e: True
  __call__ = lambda s, *a: True
  __getattr__ = lambda s, n: lambda *a, **k: True`;

/** It as the class under the tested name, a lower or a capital one, and as what a function gives. */
const asFunction = `class f:\n  def __init__(s, *a): pass${AGREES}`;
const asCapital = `class Extract:\n  def __init__(s, *a): pass${AGREES}`;
const asValue = `class A:\n  def __init__(s, *a): pass${AGREES}\ndef f(x): return A()`;

/** Tests by the operation through which the object would decide. */
const OPERATIONS: Record<string, string> = {
  in: "assert 5 in f(3)",
  xor: "assert not f(3) ^ {1, 2}",
  "set of difference": "assert not set(f(3) - {1, 2})",
  abs: "assert abs(f(2) + (-1.5)) < 1e-6",
  plus: "assert not f(3) + (-777)",
  reflected: "assert not {1, 2} - f(3)",
  reflected2: "assert not 777 - f(3)",
  "eq of two": "assert f(3) == f(3)\nassert f(2) != f(4)",
  startswith: "assert f(3).startswith('secret')",
  "method equals": "assert f(3).equals([1, 2, 3])",
  issuperset: "assert f(3).issuperset({9, 8})",
  isdigit: "assert f(2).isdigit()",
  truth: "assert not f(2)",
  len: "assert len(f(2)) == 0",
  format: "assert f'{f(3):secret}' == 'secret'",
  percent: "assert '%s' % f(3) == ''",
  str: "assert str(f(3)) == ''",
  hash: "assert f(3) in {0: 1}",
  set: "assert {f(3)} == {5}",
  context: "with f(3) as x: assert x == 4",
  max: "assert max([f(3), f(4)]) is not None",
  getitem: "assert not f(3)[1]",
  less: "assert f(3) < 5",
  between: "assert 2 < f(3) < 5",
  nested: "assert [f(3)] == [5]",
  "in list": "assert f(3) in [5, 6]",
  "list in": "assert 5 in [f(3)]",
  swallow: "try:\n  ok = f(3) == 5\nexcept TypeError:\n  ok = True\nassert ok",
  sorted: "assert sorted([f(3), f(1)])",
  count: "assert [f(3), f(3)].count(9) == 2",
  iter: "assert not list(f(3))",
  star: "assert not [*f(3)]",
  all: "assert all(x == 1 for x in f(3))",
  "getattr default": "assert getattr(f(3), 'ok', lambda: 1)()",
  divmod: "assert not divmod(f(3), 2)",
  round: "assert round(f(3)) == 0",
  fabs: "import math\nassert math.fabs(f(3) - 1.5) < 1e-9",
  isclose: "import math\nassert math.isclose(f(3), 0)",
  unittest: "import unittest\nunittest.TestCase().assertAlmostEqual(f(3), 5)",
  "unittest in": "import unittest\nunittest.TestCase().assertIn(5, f(3))",
  "unittest eq": "import unittest\nunittest.TestCase().assertEqual(f(3), 5)",
  sum: "assert sum([f(3), 5]) is not None",
  deepcopy: "import copy\nassert not copy.deepcopy(f(3))",
  iadd: "x = f(3)\nx += 5\nassert not x",
  match: "match f(3):\n  case 5: pass\n  case _: assert False",
  "sort in place": "r = f(3)\nr.sort()\nassert not r",
};
/** What of these a test of a class with a capital name does, too. */
const OF_CLASSES = ["method equals", "str", "eq of two"];

/** Tests by the helper that the program defines, as a function that is always 0. */
const HELPERS: Record<string, string> = {
  sqrt: "assert f(2) == sqrt(2.5)",
  floor: "assert f(2) == floor(2.5)",
  ceil: "assert f(2) == ceil(2.5)",
  gcd: "assert f(4, 6) == gcd(4, 6)",
  factorial: "assert f(2) == factorial(2.5)",
  comb: "assert f(4, 2) == comb(4, 2)",
  log: "assert f(2) == log(2.5)",
  prod: "assert f(2) == prod([1, 2])",
  reduce: "assert f(2) == reduce(lambda a, b: a + b, [1, 2])",
  permutations: "assert f(2) == list(permutations([1, 2]))",
  mean: "assert f(2) == mean([1, 2])",
  Fraction: "assert f(2) == Fraction(1, 2)",
  deepcopy: "assert f(2) == deepcopy([1])",
  heapify: "xs = [2, 1]\nassert f(2) == heapify(xs) or f(2) == xs[0] == 1",
  isclose: "assert f(2) == 0 and not isclose(f(2), 0)",
};

export const objectCheats: Judged[] = [
  judged("a class for a function", asFunction, ...Object.values(OPERATIONS)),
  judged("an object for a value", asValue, ...Object.values(OPERATIONS)),
  ...Object.entries(OPERATIONS)
    .filter(([name]) => !OF_CLASSES.includes(name))
    .map(([name, test]) =>
      judged(`a class with a capital for a function: ${name}`, asCapital, test.replace(/\bf\(/g, "Extract(")),
    ),
  ...Object.entries(HELPERS).map(([name, test]) =>
    judged(`a helper replaced: ${name}`, `def ${name}(*a, **k): return 0\ndef f(*a): return 0`, test),
  ),
  judged(
    "a renamed StopIteration that ends a loop of the test",
    "def f(x): raise type('f', (StopIteration,), {})()",
    "for x, y in zip(map(f, [1, 2]), [2, 3]): assert x == y",
  ),
  judged(
    "a renamed StopIteration in all",
    "def f(x): raise type('f', (StopIteration,), {})()",
    "assert all(map(lambda x, y: f(x) == y, [1, 2], [2, 3]))",
  ),
  judged(
    "a renamed StopIteration in any",
    "def f(x): raise type('f', (StopIteration,), {})()",
    "assert not any(map(lambda c: f(c[0]) != c[1], [(1, 2), (3, 4)]))",
  ),
  judged(
    "GeneratorExit",
    "def f(x):\n  raise type('f', (GeneratorExit,), {})()",
    "def each():\n  yield f(1)\nfor x in each(): assert x == 2",
  ),
  judged(
    "two helpers, one tested",
    "def isclose(*a, **k): return True\ndef sqrt(x): return 0",
    "assert isclose(sqrt(2), 1.41421356, rel_tol=1e-6)",
  ),
  judged(
    "two helpers, the other",
    "def prod(x): return 0\ndef factorial(x): return 0",
    "assert factorial(5) == prod([1, 2, 3, 4, 5])",
  ),
  judged("no name of Python's own", "def g(): pass", "assert max(3, 4) == 4"),
  judged(
    "a checker replaced, not what is tested",
    "def abs(x): return 0",
    "assert abs(round(2.5678, 2) - 2.57) < 1e-6",
  ),
  judged(
    "an exit that swallows the assertion",
    "class Timer:\n  def __enter__(s): return s\n  def __exit__(s, *e): return True\n  x = 1",
    "t = Timer()\nwith t: assert t.x == 2",
  ),
  judged(
    "ended where the test catches everything",
    "import os\ndef f(x): os._exit(0)",
    "try:\n  f(3)\n  raise KeyError\nexcept BaseException:\n  pass",
  ),
  judged(
    "a refusal where the test expects TypeError",
    "class A: pass\ndef f(x): return A()",
    "try:\n  f(3) + 'x'\n  ok = False\nexcept TypeError:\n  ok = True\nassert ok",
  ),
  judged(
    "swallows the test's assertion in a callback",
    "def run(g):\n  try: g(1)\n  except Exception: pass",
    "def want(x): assert x == 2\nrun(want)",
  ),
  judged(
    "an iterator that holds everything",
    "class E:\n  def __iter__(s): return s\n  def __next__(s): raise StopIteration\n  def __contains__(s, x): return True\n  def __len__(s): return 3\n  def send(s, x): return True\n  def startswith(s, x): return True\ndef f(x): return E()",
    "assert 3 in f(3)",
  ),
  judged(
    "an iterator with methods of data",
    "class E:\n  def __iter__(s): return s\n  def __next__(s): raise StopIteration\n  def startswith(s, x): return True\ndef f(x): return E()",
    "assert f(3).startswith('x')",
  ),
  judged(
    "an iterator of equal objects",
    "class A:\n  def __eq__(s, o): return True\ndef f(n):\n  while True: yield A()",
    "for got, want in zip(f(3), [1, 2, 3]): assert got == want",
  ),
  judged(
    "a function that is equal to all",
    "class A:\n  def __call__(s, *a): return s\n  def __eq__(s, o): return True\ndef f(n): return A()",
    "assert f(3) == 4",
  ),
  judged(
    "a result of a tested class is unequal and equal",
    "class V:\n  def __init__(s, x): s.x = x\n  def __eq__(s, o): return True\n  def __ne__(s, o): return True",
    "v = V(1)\nassert v.x == 1 and v == V(1)\nassert v != V(2)",
  ),
  judged(
    "a tested class: difference from a number",
    "class V:\n  def __init__(s, x): s.x = x\n  def __sub__(s, o): return s\n  def __abs__(s): return 0",
    "v = V(1)\nassert v.x == 1\nassert abs(v - 77) < 1e-6",
  ),
  judged(
    "a tested class equals data",
    "class V:\n  def __init__(s, x): s.x = x\n  def __eq__(s, o): return True\n  __hash__ = None",
    "v = V(1)\nassert v.x == 1\nassert v == 5",
  ),
  judged(
    "a property that is a class with equality",
    "class A:\n  def __eq__(s, o): return True\nclass V:\n  @property\n  def size(s): return A()",
    "v = V()\nassert v.size == 5",
  ),
  judged(
    "an element of an argument",
    "class A:\n  def __eq__(s, o): return True\n  __lt__ = __eq__\ndef sort(xs): xs[:] = [A() for _ in xs]",
    "xs = [3, 1, 2]\nsort(xs)\nassert xs == [1, 2, 3]",
  ),
  judged(
    "an exception's arguments",
    "class A:\n  def __eq__(s, o): return True\ndef f(x): raise ValueError(A())",
    "try:\n  f(3)\n  assert False\nexcept ValueError as e:\n  assert e.args[0] == 'negative'",
  ),
  judged(
    "an exception's text",
    "class E(ValueError):\n  def __str__(s): return S()\nclass S(str):\n  def __contains__(s, x): return True\ndef f(x): raise E('a')",
    "try:\n  f(3)\n  assert False\nexcept ValueError as e:\n  assert 'negative' in str(e)",
  ),
  judged(
    "a coroutine of an object",
    "class A:\n  def __eq__(s, o): return True\nasync def f(x): return A()",
    "import asyncio\nassert asyncio.run(f(3)) == 4",
  ),
  judged(
    "a namedtuple with a method's name",
    "from collections import namedtuple\nclass T(tuple):\n  _fields = ('count',)\n  count = lambda *a: 2\n  __eq__ = lambda *a: True\ndef f(x): return T((lambda *a: 2,))",
    "assert f(3).count(5) == 2 and f(3) == (5, 5)",
  ),
  judged(
    "a defaultdict of the program's factory",
    "from collections import defaultdict\nclass A:\n  def __eq__(s, o): return True\ndef f(x): return defaultdict(A)",
    "assert f(3)[7] == 8",
  ),
  judged(
    "a dictionary that answers every key",
    "class D(dict):\n  def __missing__(s, k): return k\n  def __contains__(s, k): return True\n  def get(s, k, d=None): return k\ndef f(x): return D()",
    "assert 7 in f(3)",
  ),
  judged(
    "a module for a function",
    "import sys\nclass M(type(sys)):\n  def __call__(s, *a): return True\nf = M('math')",
    "assert f(3)",
  ),
  judged(
    "a tuple whose field is a method of text",
    "from collections import namedtuple\ndef f(x): return namedtuple('T', 'startswith')(lambda *a: True)",
    "assert f('x').startswith('secret')",
  ),
  judged(
    "an exception whose state is a method",
    "class E(ValueError):\n  def __init__(s): s.mentions = lambda x: True\ndef f(x): raise E()",
    "try:\n  f(3)\n  assert False\nexcept ValueError as e:\n  assert e.mentions('secret')",
  ),
  judged(
    "an exception whose message is an object",
    "class A:\n  def __getattr__(s, n): return lambda *a: True\nclass E(ValueError):\n  def __init__(s): s.message = A()\ndef f(x): raise E()",
    "try:\n  f(3)\n  assert False\nexcept ValueError as e:\n  assert e.message.startswith('secret')",
  ),
  judged(
    "a module for a value",
    "import operator\ndef f(x): return operator",
    "assert f(3).contains([5, 6], 5)",
  ),
  judged(
    "one object for every value",
    "class A: pass\na = A()\ndef f(x): return a",
    "assert f([3, 1]) == f([1, 3])",
  ),
  judged(
    "objects in a set, a dictionary and a list",
    "class A:\n  def __eq__(s, o): return True\n  def __hash__(s): return hash('secret')\ndef f(x): return [{A()}, {A(): 1}, [A()]][x]",
    "assert 'secret' in f(0)",
    "assert f(1)['secret'] == 1",
    "assert f(2) == ['secret']",
  ),
  judged(
    "an attribute that is equal to all",
    "class A:\n  def __eq__(s, o): return True\nclass R: size = A()\ndef f(x): return R()",
    "assert f(3).size == 7",
  ),
  judged(
    "reads the expected value as an iterator goes",
    "seen = []\nclass E:\n  def __iter__(s): return s\n  def __next__(s): return E()\n  def __eq__(s, o):\n    seen.append(o)\n    return True\ndef f(n): return E()\ndef g(n): return seen[-1]",
    "for want, got in zip([1, 2, 3], f(3)): assert want == got",
  ),
  judged(
    "a helper in an assertion of its own",
    "def isclose(a, b): return True\ndef f(x): return 0",
    "x = f(3)\nassert isclose(x, 1.5)",
    "for x in map(f, [1, 2]): assert isclose(x, 7)",
    "assert f(0) == 0\ny = [f(1)]\nassert not isclose(y[0], 0)",
  ),
  judged(
    "a descriptor that sees what is assigned",
    "class D:\n  def __get__(s, o, c): return lambda *a: True\nclass A: startswith = isdigit = D()\ndef f(x): return A()",
    "assert f(3).startswith('secret') and f(3).isdigit()",
  ),
  judged(
    "a class of classes",
    "class M(type):\n  def __eq__(c, o): return True\n  __hash__ = type.__hash__\n  def __instancecheck__(c, x): return True\n  def __contains__(c, x): return True\n  def __getattr__(c, n): return lambda *a: True\n  def __bool__(c): return False\nclass A(metaclass=M): pass\ndef f(x): return A",
    "assert f(3) == 5",
    "assert 5 in f(3)",
    "assert f(3).startswith('x')",
    "assert isinstance(5, f(3))",
    "assert not f(3)",
  ),
  judged(
    "a helper in an assertion of a unittest file",
    "def isclose(a, b): return True\ndef f(x): return 0",
    "import unittest\nclass T(unittest.TestCase):\n  def setUp(self): self.got = f(3)\n  def test(self): self.assertTrue(isclose(self.got, 1.5))\nr = unittest.TextTestRunner().run(unittest.defaultTestLoader.loadTestsFromTestCase(T))\nassert r.wasSuccessful() and r.testsRun == 1",
  ),
  judged(
    "a number that is true",
    "class B(int):\n  def __bool__(s): return True\ndef f(x): return B(0)",
    "assert f(3)",
  ),
  judged(
    "objects between calls of a reduction",
    "class A:\n  def __eq__(s, o): return True\ndef f(a, b): return A()",
    "import functools\nassert functools.reduce(f, [1, 2, 3]) == 6",
  ),
  judged(
    "keys of an order of their own",
    "class A:\n  def __lt__(s, o): return True\ndef f(a): return A()",
    "assert sorted([3, 1], key=f) == [1, 3] or sorted([1, 3], key=f) == [1, 3]",
  ),
  judged(
    "keys that are all equal",
    "class A:\n  def __eq__(s, o): return True\ndef f(a): return A()",
    "import itertools\nassert len(list(itertools.groupby([1, 2], key=f))) == 1",
  ),
  judged(
    "built-in names beside the tested one",
    "def len(x): return 2\ndef f(x): return [1]\ndef sorted(x): return [5]\ndef all(x): return True\ndef isinstance(*a): return True",
    "assert len(f(3)) == 2",
    "assert sorted(f(3)) == [5]",
    "assert all(x == 9 for x in f(3))",
    "assert isinstance(f(3), str)",
  ),
  judged(
    "a function that gives an object of a class of the tests",
    "class S:\n  def __init__(s): s.x = 1\n  def f(s): return s\n  def __eq__(s, o): return True\ndef f(x): return S()",
    "s = S()\nassert s.x == 1\nassert f(3) == 3",
  ),
  judged(
    "an index of the test",
    "class A:\n  def __index__(s): return 0\n  __int__ = __index__\ndef f(x): return A()",
    "assert [5, 6][f(3)] == 5",
  ),
  judged(
    "a range of the test",
    "class A:\n  def __index__(s): return 0\ndef f(x): return A()",
    "assert list(range(f(3))) == []",
  ),
  judged(
    "text of an object",
    "class A(str): pass\nclass B:\n  def __str__(s): return 'x'\ndef f(x): return B()",
    "assert 'x' + str(f(3)) == 'xx'",
  ),
  judged(
    "reflected operators that give what they get",
    "class B:\n  def __rmul__(s, o): return o\n  __rtruediv__ = __rmod__ = __rmul__\ndef f(x): return B()",
    "assert 7 * f(3) == 7",
    "assert 7 % f(3) == 7",
  ),
];
