// More programs for the judge: honest ones with classes, iterators and functions as values, and cheats by objects of the
// program, by its exceptions, and by names that the tests did not mean to be the program's.
import { type Judged, judged } from "./judged-programs.ts";

export const honestObjects: Judged[] = [
  judged(
    "the style of HumanEval",
    "from typing import List\ndef has_close(numbers: List[float], t: float) -> bool:\n  return any(abs(a - b) < t for i, a in enumerate(numbers) for b in numbers[:i])",
    "METADATA = {}\n\ndef check(candidate):\n    assert candidate([1.0, 2.0, 3.9, 4.0, 5.0, 2.2], 0.3) == True\n    assert candidate([1.0, 2.0, 3.9, 4.0, 5.0, 2.2], 0.05) == False, 'prints'\n\ncheck(has_close)",
  ),
  judged(
    "HumanEval's, with imports",
    "def decode(s): return s[::-1]",
    "def check(candidate):\n  from random import randint, choice\n  import copy, string\n  letters = string.ascii_lowercase\n  for _ in range(5):\n    s = ''.join(choice(letters) for i in range(randint(10, 20)))\n    assert candidate(copy.deepcopy(s)) == s[::-1]\ncheck(decode)",
  ),
  judged(
    "the style of MBPP, functions with a capital",
    "def Extract(lst): return [x[0] for x in lst]\nimport re\ndef text_match(t): return 'Found a match!' if re.search('ab*', t) else 'Not matched!'",
    "assert Extract([[1, 2], [3, 4, 5]]) == [1, 3]",
    "assert text_match('ac') == ('Found a match!')",
    "assert set(Extract([[1],[2]])) == {1, 2}",
  ),
  judged(
    "objects of the tests as arguments",
    "class Pair(object):\n  def __init__(self, a, b): self.a, self.b = a, b\ndef max_chain(arr, n): return max(p.b - p.a for p in arr) + n",
    "assert max_chain([Pair(5, 24), Pair(15, 25)], 2) == 21",
  ),
  judged(
    "a tree that the tests build",
    "class Node:\n  def __init__(self, data): self.data, self.left, self.right = data, None, None\ndef depth(n): return 0 if n is None else 1 + max(depth(n.left), depth(n.right))",
    "root = Node(1)\nroot.left = Node(2)\nroot.left.left = Node(3)\nassert depth(root) == 3",
  ),
  judged(
    "objects that pass from function to function",
    "class ListNode:\n  def __init__(self, v, n=None): self.val, self.next = v, n\ndef build(xs):\n  h = None\n  for x in reversed(xs): h = ListNode(x, h)\n  return h\ndef rev(h):\n  p = None\n  while h: h.next, p, h = p, h, h.next\n  return p\ndef out(h):\n  r = []\n  while h: r.append(h.val); h = h.next\n  return r",
    "assert out(rev(build([1, 2, 3]))) == [3, 2, 1]\nassert rev(build([1, 2])).val == 2 and rev(build([1, 2])).next.val == 1 and rev(build([1])).next is None\nassert rev(None) is None",
  ),
  judged(
    "a class whose methods are named as a list's",
    "class Stack:\n  def __init__(self): self.xs = []\n  def append(self, x): self.xs.append(x)\n  def pop(self): return self.xs.pop()\n  def __len__(self): return len(self.xs)\n  def __bool__(self): return bool(self.xs)\n  def __contains__(self, x): return x in self.xs\n  def __iter__(self): return iter(self.xs)\n  def __getitem__(self, i): return self.xs[i]",
    "s = Stack()\ns.append(1)\ns.append([2])\nassert len(s) == 2 and s and 1 in s and 5 not in s and list(s) == [1, [2]] and s[0] == 1\nassert s.pop() == [2]\nassert bool(s)",
  ),
  judged(
    "a check with a class as candidate",
    "class Stack:\n  def __init__(self): self.xs = []\n  def push(self, x): self.xs.append(x)\n  def top(self): return self.xs[-1]",
    "def check(candidate):\n  s = candidate()\n  s.push(3)\n  assert s.top() == 3\ncheck(Stack)",
  ),
  judged(
    "a unittest file with setUp",
    "class Account:\n  def __init__(self, b): self.balance = b\n  def deposit(self, x):\n    if x < 0: raise ValueError('neg')\n    self.balance += x",
    "import unittest\nclass T(unittest.TestCase):\n  def setUp(self): self.a = Account(5)\n  def test(self):\n    self.a.deposit(2)\n    self.assertEqual(self.a.balance, 7)\n    with self.assertRaises(ValueError): self.a.deposit(-1)\n    self.assertIsInstance(self.a, Account)\nr = unittest.TextTestRunner().run(unittest.defaultTestLoader.loadTestsFromTestCase(T))\nassert r.wasSuccessful() and r.testsRun == 1",
  ),
  judged(
    "an enumeration",
    "from enum import Enum\nclass Color(Enum):\n  RED = 1\n  BLUE = 2\ndef other(c): return Color.BLUE if c == Color.RED else Color.RED",
    "assert Color.RED.value == 1 and Color['BLUE'].name == 'BLUE' and len(list(Color)) == 2\nassert other(Color.RED) == Color.BLUE and other(Color.RED) is Color.BLUE and Color(2) == Color.BLUE",
  ),
  judged(
    "ordering and hash",
    "from functools import total_ordering\n@total_ordering\nclass Ver:\n  def __init__(s, t): s.p = tuple(map(int, t.split('.')))\n  def __eq__(s, o): return s.p == o.p\n  def __lt__(s, o): return s.p < o.p\n  def __hash__(s): return hash(s.p)\n  def __str__(s): return '.'.join(map(str, s.p))",
    "assert Ver('1.2') < Ver('1.10') and Ver('1.2') == Ver('1.2') and not Ver('1.2') != Ver('1.2')\nassert len({Ver('1.2'), Ver('1.2')}) == 1\nassert [str(v) for v in sorted([Ver('2.0'), Ver('1.9')])] == ['1.9', '2.0']\nassert max(Ver('1.0'), Ver('3.0')) == Ver('3.0') and Ver('1.0') in [Ver('1.0')]",
  ),
  judged(
    "a number class, with reflected operators",
    "class Frac:\n  def __init__(s, a, b): s.a, s.b = a, b\n  def __add__(s, o):\n    o = o if isinstance(o, Frac) else Frac(o, 1)\n    return Frac(s.a * o.b + o.a * s.b, s.b * o.b)\n  __radd__ = __add__\n  def __neg__(s): return Frac(-s.a, s.b)\n  def __eq__(s, o): return s.a * o.b == o.a * s.b\n  def __float__(s): return s.a / s.b\n  def __repr__(s): return f'{s.a}/{s.b}'",
    "assert Frac(1, 2) + Frac(1, 3) == Frac(10, 12) and Frac(1, 2) + 1 == Frac(3, 2) and 1 + Frac(1, 2) == Frac(3, 2)\nassert repr(-Frac(1, 2)) == '-1/2' and float(Frac(1, 2)) == 0.5 and sum([Frac(1, 2), Frac(1, 2)], Frac(0, 1)) == Frac(1, 1)\nf = Frac(1, 2)\nf += 1\nassert f.a == 3",
  ),
  judged(
    "decorators",
    "def count_calls(f):\n  def g(*a):\n    g.calls += 1\n    return f(*a)\n  g.calls = 0\n  return g\ndef memo(f):\n  seen = {}\n  def g(x):\n    if x not in seen: seen[x] = f(x)\n    return seen[x]\n  return g",
    "@count_calls\ndef add(a, b): return a + b\nassert add(1, 2) == 3 and add(2, 2) == 4 and add.calls == 2",
    "seen = []\n@memo\ndef slow(x):\n  seen.append(x)\n  return x * 2\nassert [slow(2), slow(2), slow(3)] == [4, 4, 6] and seen == [2, 3]",
  ),
  judged(
    "context managers",
    "from contextlib import contextmanager\n@contextmanager\ndef opened(log):\n  yield [1]\nclass Timer:\n  def __enter__(s):\n    s.on = True\n    return s\n  def __exit__(s, *e): s.on = False",
    "with opened('x') as v: assert v == [1]",
    "t = Timer()\nwith t as u: assert u.on and u is t\nassert t.on is False",
  ),
  judged(
    "generators that are sent values, and endless ones",
    "def echo():\n  x = yield 1\n  while True: x = yield x * 2\ndef fib():\n  a, b = 0, 1\n  while True:\n    yield a\n    a, b = b, a + b",
    "g = echo()\nassert next(g) == 1 and g.send(5) == 10 and g.send(7) == 14\ng.close()",
    "import itertools\nassert list(itertools.islice(fib(), 6)) == [0, 1, 1, 2, 3, 5]\nfor got, want in zip(fib(), [0, 1, 1, 2]): assert got == want\na, b, *_ = itertools.islice(fib(), 4)\nassert (a, b) == (0, 1)",
  ),
  judged(
    "an iterator class",
    "class Down:\n  def __init__(s, n): s.n = n\n  def __iter__(s): return s\n  def __next__(s):\n    if s.n == 0: raise StopIteration\n    s.n -= 1\n    return s.n + 1",
    "assert list(Down(3)) == [3, 2, 1] and sum(Down(4)) == 10\nit = iter(Down(1))\nassert next(it) == 1\ntry:\n  next(it)\n  assert False\nexcept StopIteration: pass",
  ),
  judged(
    "helpers beside the names that are tested",
    "from math import *\nfrom collections import Counter\ndef hyp(a, b): return sqrt(a * a + b * b)\ndef mean(xs): return sum(xs) / len(xs)",
    "assert hyp(1, 1) == sqrt(2) and isclose(hyp(3, 4), 5)",
    "assert mean([1, 2, 3]) == 2",
    "assert hyp(3, 4) == mean([5, 5])",
  ),
  judged(
    "a name of a module, tested alone",
    "def gcd(a, b): return gcd(b, a % b) if b else a",
    "assert gcd(12, 18) == 6",
    "assert abs(gcd(12, 18) - 6) < 1e-9",
  ),
  judged(
    "two names of a module, each tested alone",
    "def gcd(a, b): return gcd(b, a % b) if b else a\ndef lcm(a, b): return a * b // gcd(a, b)",
    "assert gcd(12, 18) == 6",
    "assert lcm(4, 6) == 12",
    "assert lcm(4, 6) * gcd(4, 6) == 24",
  ),
  judged(
    "views, arrays, defaultdicts",
    "from array import array\nfrom collections import defaultdict\nclass W: pass\ndef ks(d): return d.keys()\ndef vs(d): return d.values()\ndef its(d): return d.items()\ndef arr(): return array('i', [1, 2])\ndef group(xs):\n  d = defaultdict(list)\n  for x in xs: d[len(x)].append(x)\n  return d\ndef fill(d):\n  d['new'].append(1)\n  return d\ndef same(x): return type(x).__name__",
    "from array import array\nfrom collections import defaultdict\nassert ks({'a': 1}) == {'a'} and list(vs({'a': 1})) == [1] and its({'a': [1]}) == {'a': [1]}.items() and sorted(its({2: 1, 1: 2})) == [(1, 2), (2, 1)]\nassert arr() == array('i', [1, 2]) and arr().typecode == 'i'\nassert group(['a', 'bb', 'c']) == {1: ['a', 'c'], 2: ['bb']} and group(['a'])[9] == []\nassert fill(defaultdict(list)) == {'new': [1]}\nassert same({1: 2}.keys()) == 'dict_keys' and same(array('d')) == 'array' and same(defaultdict(int)) == 'defaultdict'",
  ),
  judged(
    "classes with inheritance",
    "class Shape:\n  def area(self): raise NotImplementedError\n  @staticmethod\n  def unit(): return Sq(1)\n  @classmethod\n  def make(cls, x): return Sq(x)\nclass Sq(Shape):\n  count = 0\n  def __init__(self, x): self.x = x; Sq.count += 1\n  def area(self): return self.x ** 2",
    "s = Sq(3)\nassert s.area() == 9 and isinstance(s, Shape) and issubclass(Sq, Shape) and not isinstance(s, int)\nassert Shape.unit().area() == 1 and Shape.make(2).area() == 4 and Sq.count == 3 and hasattr(s, 'area') and not hasattr(s, 'volume')\ntry:\n  Shape().area()\n  assert False\nexcept NotImplementedError: pass",
  ),
  judged(
    "tests that print more than the output limit",
    "def f(x): return 'y' * x",
    "for _ in range(100): print(f(2000))\nassert f(1) == 'y'",
  ),
  judged(
    "a coroutine that gives a function",
    "async def f(x): return lambda y: x + y",
    "import asyncio\nassert asyncio.run(f(3))(4) == 7",
  ),
  judged(
    "callbacks that are kept, and get objects",
    "class P:\n  def __init__(s, x): s.x = x\ndef best(ps, key): return max(ps, key=key)\nclass Bus:\n  def __init__(s): s.fs = []\n  def on(s, f): s.fs.append(f)\n  def emit(s, x): return [f(x) for f in s.fs]",
    "assert best([P(1), P(3)], lambda p: -p.x).x == 1",
    "b = Bus()\ngot = []\nb.on(got.append)\nb.on(lambda x: x + 1)\nassert b.emit(4) == [None, 5] and got == [4]",
  ),
  judged(
    "an argument that is changed and returned",
    "def push(s, x):\n  s.append(x)\n  return s",
    "s = [1]\nassert push(s, 2) == [1, 2]",
  ),
  judged(
    "an exit that the test expects",
    "def main(n): raise SystemExit(n)",
    "try:\n  main(3)\n  assert False\nexcept SystemExit as e:\n  assert e.code == 3",
  ),
  judged(
    "lru_cache, partial",
    "from functools import lru_cache, partial\n@lru_cache(None)\ndef fib(n): return n if n < 2 else fib(n-1) + fib(n-2)\nadd3 = partial(lambda a, b: a + b, 3)\ndef compose(*fs): return lambda x: fs[0](compose(*fs[1:])(x)) if fs else x",
    "assert fib(50) == 12586269025 and fib.__name__ == 'fib'\nassert add3(4) == 7\nassert compose(lambda x: x + 1, lambda x: x * 2)(5) == 11",
  ),
];

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
  set: "assert {f(3)} != {1}",
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
  ...Object.entries(OPERATIONS).flatMap(([name, test]) => [
    judged(`a class for a function: ${name}`, asFunction, test),
    judged(`an object for a value: ${name}`, asValue, test),
    judged(`a class with a capital for a function: ${name}`, asCapital, test.replace(/\bf\(/g, "Extract(")),
  ]),
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
];
