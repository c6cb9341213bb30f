// Honest programs for the judge in the styles of HumanEval, MBPP and files of tests: classes, iterators and functions as values,
// and names that standard modules have, too.
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
  judged(
    "a name of itertools among others, tested alone in an assertion",
    "def count(xs, x): return sum(1 for y in xs if y == x)\ndef most(xs): return max(xs, key=lambda x: count(xs, x))",
    "import operator\nxs = [1, 2, 2]\nassert count(xs, 2) == operator.add(1, 1)\nassert most(xs) == 2",
  ),
  judged(
    "Python's own functions that math has, too",
    "def f(x): return x ** 100 % 13",
    "assert f(7) == pow(7, 100, 13)",
    "assert isinstance(f(2) and pow(2, 70), int) and f(2) + pow(2, 70) == (1 << 70) + 3",
  ),
  judged(
    "exceptions that extend one another",
    "class BankError(Exception): pass\nclass Low(BankError):\n  def __init__(s, need, have):\n    s.need, s.have = need, have\n    super().__init__(f'need {need}')\nclass Account:\n  def __init__(s): s.b = 0\n  def withdraw(s, x):\n    if x > s.b: raise Low(x, s.b)",
    "a = Account()\ntry:\n  a.withdraw(5)\n  assert False\nexcept BankError as e:\n  assert str(e) == 'need 5' and e.need == 5 and isinstance(e, Low)",
    "import unittest\nwith unittest.TestCase().assertRaisesRegex(Low, 'need'): Account().withdraw(1)",
  ),
  judged(
    "a class whose methods give truth",
    "class Trie:\n  def __init__(s): s.w = set()\n  def insert(s, w): s.w.add(w)\n  def search(s, w): return w in s.w\n  def startsWith(s, p): return any(x.startswith(p) for x in s.w)",
    "t = Trie()\nt.insert('apple')\nassert t.search('apple') and not t.search('app') and t.startsWith('app')",
  ),
  judged(
    "a class with indices and a property",
    "class Matrix:\n  def __init__(s, r): s.r = r\n  def __matmul__(s, o): return Matrix([[sum(a*b for a, b in zip(x, y)) for y in zip(*o.r)] for x in s.r])\n  def __getitem__(s, k): return s.r[k[0]][k[1]] if isinstance(k, tuple) else s.r[k]\n  def __setitem__(s, k, v): s.r[k[0]][k[1]] = v\n  def __eq__(s, o): return s.r == o.r\n  @property\n  def T(s): return Matrix([list(c) for c in zip(*s.r)])",
    "m = Matrix([[1, 2], [3, 4]])\nassert m.T == Matrix([[1, 3], [2, 4]])\nassert (m @ Matrix([[1, 0], [0, 1]])) == m and m[0, 1] == 2 and m[1] == [3, 4]\nm[0, 0] = 9\nassert m[0, 0] == 9",
  ),
  judged(
    "a function that gives objects of a class of the tests",
    "from dataclasses import dataclass\n@dataclass(order=True)\nclass P:\n  x: int\n  y: int = 0\ndef move(p, d): return P(p.x + d, p.y)",
    "assert move(P(1), 2) == P(3)\nassert move(P(1), 2).x == 3\nassert P(1) < P(2) and repr(P(1)) == 'P(x=1, y=0)'",
  ),
  judged(
    "one object of a class",
    "class S:\n  _i = None\n  def __new__(c):\n    if c._i is None: c._i = super().__new__(c)\n    return c._i",
    "assert S() is S()\nassert S() == S()",
  ),
  judged(
    "objects in lists, and sorted by keys",
    "class Emp:\n  def __init__(s, n, a): s.name, s.age = n, a\ndef oldest(es): return max(es, key=lambda e: e.age)\ndef grouped(es): return sorted(es, key=lambda e: e.name)",
    "es = [Emp('b', 3), Emp('a', 9)]\nassert oldest(es).name == 'a' and oldest(es) is es[1]\nassert [e.name for e in grouped(es)] == ['a', 'b']\nassert sorted(es, key=lambda e: e.age)[0].name == 'b'\nassert es[0] in es",
  ),
  judged(
    "a class with in and iteration",
    "class BST:\n  def __init__(s): s.x = []\n  def insert(s, v): s.x.append(v)\n  def __contains__(s, v): return v in s.x\n  def __len__(s): return len(s.x)\n  def __iter__(s): return iter(sorted(s.x))",
    "t = BST()\nfor v in [3, 1, 2]: t.insert(v)\nassert 3 in t and 9 not in t and len(t) == 3 and list(t) == [1, 2, 3] and [*t] == [1, 2, 3] and min(t) == 1 and sum(t) == 6\nassert not BST()",
  ),
  judged(
    "a class that the tests print",
    "class Queue:\n  def __init__(s, *xs): s.xs = list(xs)\n  def __str__(s): return 'Q' + str(s.xs)\n  def __len__(s): return len(s.xs)",
    "assert str(Queue(1, 2)) == 'Q[1, 2]'\nassert len(Queue(1)) == 1\nassert f'{Queue(3)}' == 'Q[3]' and '%s' % Queue(1) == 'Q[1]' and '{}'.format(Queue()) == 'Q[]'",
  ),
  judged(
    "objects that are called",
    "class Adder:\n  def __init__(s, n): s.n = n\n  def __call__(s, x): return s.n + x",
    "add = Adder(2)\nassert add(3) == 5 and callable(add)\nassert list(map(Adder(1), [1, 2])) == [2, 3]",
  ),
  judged(
    "a vector class",
    "class V:\n  def __init__(s, *c): s.c = c\n  def __sub__(s, o): return V(*(a - b for a, b in zip(s.c, o.c)))\n  def __abs__(s): return sum(x * x for x in s.c) ** .5\n  def __mul__(s, k): return V(*(k * x for x in s.c)) if isinstance(k, (int, float)) else sum(a * b for a, b in zip(s.c, k.c))\n  __rmul__ = __mul__\n  def __eq__(s, o): return isinstance(o, V) and s.c == o.c\n  def __iter__(s): return iter(s.c)",
    "assert abs(V(3, 4)) == 5 and V(1, 2) * V(3, 4) == 11 and 2 * V(1, 2) == V(2, 4) and abs(V(3, 4) - V(0, 0)) == 5\nassert list(2 * V(1, 2)) == [2, 4]",
  ),
];
