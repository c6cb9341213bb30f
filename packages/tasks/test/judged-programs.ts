// Programs for the judge: honest ones, which must be paid, and cheats, which must not, each with its tests.
import type { UnitTest } from "../src/index.ts";

export interface Judged {
  name: string;
  code: string;
  tests: UnitTest[];
}

export const judged = (name: string, code: string, ...tests: UnitTest[]): Judged => ({ name, code, tests });

export const honest: Judged[] = [
  judged("recursion", "def fib(n): return n if n < 2 else fib(n-1) + fib(n-2)", "assert fib(20) == 6765"),
  judged(
    "a class that the function uses",
    "class Box:\n  def __init__(self, x): self.x = x\ndef double(x): return Box(2 * x).x",
    "assert double(4) == 8",
  ),
  judged(
    "a class that the tests use",
    "class Stack:\n  def __init__(self): self.items = []\n  def push(self, x): self.items.append(x)\n  def pop(self): return self.items.pop()\n  def __len__(self): return len(self.items)",
    "s = Stack()\ns.push(3)\ns.push([4])\nassert len(s) == 2\nassert s.pop() == [4]\nassert s.items == [3]\nassert isinstance(s, Stack)",
  ),
  judged(
    "operators of a class",
    "from dataclasses import dataclass\n@dataclass\nclass V:\n  x: int\n  y: int\n  def __add__(s, o): return V(s.x + o.x, s.y + o.y)\n  def __mul__(s, k): return V(s.x * k, s.y * k)\n  def __str__(s): return f'<{s.x}, {s.y}>'",
    "assert V(1, 2) + V(3, 4) == V(4, 6)\nassert V(1, 2) != V(1, 3)\nassert str(V(1, 2) * 3) == '<3, 6>'\nassert (V(1, 2) + V(0, 1)).y == 3",
  ),
  judged(
    "generators that give lists, and generators",
    "def evens(n): return list(x for x in range(n) if x % 2 == 0)\ndef count(n):\n  for i in range(n): yield i * i",
    "assert evens(7) == [0, 2, 4, 6]\nassert list(count(4)) == [0, 1, 4, 9]\nassert next(count(2)) == 0\nassert sum(count(4)) == 14",
  ),
  judged(
    "exceptions that the tests expect",
    "class Empty(ValueError): pass\ndef first(xs):\n  if not xs: raise Empty('nothing', 7)\n  return xs[0]",
    "try:\n  first([])\nexcept ValueError as e:\n  assert e.args == ('nothing', 7)\nelse:\n  assert False",
    "try:\n  first([])\n  assert False\nexcept Empty:\n  pass",
    "import unittest\nunittest.TestCase().assertRaises(Empty, first, [])",
    "try:\n  first(None)[0]\n  assert False\nexcept TypeError:\n  assert False\nexcept Exception as e:\n  assert type(e).__name__ == 'Empty'",
  ),
  judged(
    "tuples, nested",
    "def swap(p): return (p[1], p[0], (p, [p]))",
    "assert swap((1, 'a')) == ('a', 1, ((1, 'a'), [(1, 'a')]))\nassert swap((1, 2)) != [2, 1, ((1, 2), [(1, 2)])]",
  ),
  judged(
    "sets and frozensets",
    "def both(a, b): return a & b\ndef keys(d): return frozenset(d)",
    "assert both({1, 2, (3,)}, {2, (3,), 4}) == {2, (3,)}\nassert keys({1: 0, 'x': 1}) == frozenset([1, 'x'])",
  ),
  judged(
    "floats, infinities and nan",
    "def half(x): return x / 2\ndef lim(): return [float('inf'), -float('inf'), float('nan'), -0.0, 5e-324]",
    "import math\nassert half(0.3) == 0.15\nassert abs(half(1) - 0.5) < 1e-9\na = lim()\nassert a[:2] == [math.inf, -math.inf] and math.isnan(a[2]) and math.copysign(1, a[3]) == -1 and a[4] == 5e-324",
  ),
  judged(
    "strings with surrogates and separators",
    "def turn(s): return s[::-1]\ndef lone(): return '\\ud83d' + '\\ude00'",
    "assert turn('a\\ud800b') == 'b\\ud800a'\nassert turn('é\\u2028😀\\n\\x00') == '\\x00\\n😀\\u2028é'\nassert len(lone()) == 2 and lone() == '\\ud83d\\ude00'",
  ),
  judged(
    "large integers",
    "def power(a, b): return a ** b\ndef fact(n): return n * fact(n - 1) if n else 1",
    "assert power(2, 20000) == 1 << 20000\nassert power(-3, 201) == -3 ** 201\nassert fact(30) == 265252859812191058636308480000000\nassert power(2, 63) == 9223372036854775808",
  ),
  judged(
    "arguments that are changed in place",
    "def sort(xs): xs.sort()\ndef drop(xs, x):\n  k = 0\n  for y in xs:\n    if y != x: xs[k] = y; k += 1\n  return k\ndef turn(m):\n  for r in m: r.reverse()\ndef mark(d, k): d[k] = True",
    "xs = [3, 1, 2]\nsort(xs)\nassert xs == [1, 2, 3]",
    "xs = [3, 2, 2, 3]\nk = drop(xs, 3)\nassert k == 2\nassert sorted(xs[:k]) == [2, 2]",
    "row = [1, 2]\nm = [row, [3, 4]]\nturn(m)\nassert m == [[2, 1], [4, 3]] and row == [2, 1]",
    "d = {}\nassert mark(d, (1, 2)) is None\nassert d == {(1, 2): True}",
  ),
  judged(
    "defaults, keywords and variable arguments",
    "def f(a, b=2, *rest, scale=1, **more): return (a + b + sum(rest)) * scale + len(more)",
    "assert f(1) == 3\nassert f(1, 1, 1, scale=3) == 9\nassert f(b=5, a=1, scale=2, x=0, y=0) == 14\nassert f(*[1, 2, 3]) == 6",
  ),
  judged(
    "bytes, complex numbers and None",
    "def echo(x): return x",
    "for x in [b'\\x00\\xff', 1 + 2j, None, True, 3, 3.0, '', [], {}, (), {1: {None: [2.5]}}, range(3), bytearray(b'ab'), complex('inf')]:\n  assert echo(x) == x and type(echo(x)) is type(x)",
  ),
  judged(
    "dictionaries with keys of several types, in order",
    "def count(xs):\n  d = {}\n  for x in xs: d[x] = d.get(x, 0) + 1\n  return d",
    "assert count([1, 'a', (2, 3), None, 1]) == {1: 2, 'a': 1, (2, 3): 1, None: 1}\nassert list(count('ba')) == ['b', 'a']",
  ),
  judged(
    "values of the standard library",
    "from fractions import Fraction\nfrom decimal import Decimal\nfrom collections import Counter, OrderedDict, defaultdict, deque, namedtuple\nimport datetime\nP = namedtuple('P', 'x y')\ndef parts():\n  d = defaultdict(list)\n  d[1].append(2)\n  return [Fraction(1, 3), Decimal('1.10'), Counter('aab'), OrderedDict(b=1, a=2), d, deque([1, 2]), P(1, 2), datetime.date(2024, 2, 29), datetime.timedelta(1)]",
    "from fractions import Fraction\nfrom decimal import Decimal\nfrom collections import *\nimport datetime\na = parts()\nassert a[0] == Fraction(1, 3) and a[1] == Decimal('1.1') and str(a[1]) == '1.10'\nassert a[2] == Counter('aab') and a[3] == OrderedDict(b=1, a=2) and a[3] != OrderedDict(a=2, b=1)\nassert a[4] == {1: [2]} and a[5] == deque([1, 2]) and a[6].y == 2 and a[6] == (1, 2)\nassert a[7].year == 2024 and a[8] == datetime.timedelta(hours=24)",
  ),
  judged(
    "functions as arguments and as results",
    "def apply(f, xs): return [f(x) for x in xs]\ndef adder(n): return lambda x: x + n\ndef attempt(f):\n  try: return f()\n  except ZeroDivisionError: return 'zero'",
    "assert apply(lambda x: x + 1, [1, 2]) == [2, 3]\nassert apply(len, ['ab', '']) == [2, 0]\nassert adder(3)(4) == 7\nassert apply(adder(1), [1]) == [2]\nassert attempt(lambda: 1 / 0) == 'zero'\nassert list(map(adder(2), [1, 2])) == [3, 4]",
  ),
  judged(
    "iterators and views as arguments",
    "def take(xs, n):\n  out = []\n  for x in xs:\n    if len(out) == n: break\n    out.append(x)\n  return out",
    "import itertools\nassert take(itertools.count(3), 2) == [3, 4]\nassert take((x * x for x in range(9)), 3) == [0, 1, 4]\nassert take({1: 2, 3: 4}.keys(), 9) == [1, 3]\nassert take(map(str, [1]), 5) == ['1']",
  ),
  judged(
    "coroutines",
    "import asyncio\nasync def wait(x):\n  await asyncio.sleep(0)\n  if x < 0: raise ValueError(x)\n  return [x]",
    "import asyncio\nassert asyncio.run(wait(2)) == [2]",
    "import asyncio\ntry:\n  asyncio.run(wait(-1))\n  assert False\nexcept ValueError as e:\n  assert e.args == (-1,)",
  ),
  judged(
    "a collection that is not data",
    "def keys(d): return d.keys()\ndef squares(n): return (i * i for i in range(n))",
    "assert 3 in keys({3: 4}) and 4 not in keys({3: 4})\nassert 9 in squares(5) and 8 not in squares(5)\nassert sorted(keys({2: 0, 1: 0})) == [1, 2]",
  ),
  judged(
    "a check with a candidate",
    "import math\ndef area(r): return math.pi * r * r",
    "METADATA = {'author': 'x'}\n\ndef check(candidate):\n  assert abs(candidate(2) - 12.566370614) < 1e-6\n  assert math.isclose(candidate(1), math.pi)\n\ncheck(area)",
  ),
  judged(
    "a name of Python's own",
    "def sum(a, b): return len([i for i in range(1, min(a, b) + 1) if a % i == 0 and b % i == 0])",
    "assert sum(10, 15) == 2",
    "assert sum(100, 150) == 6",
  ),
  judged(
    "printing, and state between calls",
    "seen = []\nprint('loaded')\ndef visit(x):\n  print('visit', x, '[\"ok\",0,[]]')\n  seen.append(x)\n  return len(seen)",
    "assert visit('a') == 1\nassert visit('b') == 2\nassert seen == ['a', 'b']",
  ),
  judged(
    "programs that read and print",
    "n = int(input())\nxs = list(map(int, input().split()))\nprint(sum(xs[:n]))\nprint(*xs)",
    { input: "2\n3 4 5\n", output: "7\n3 4 5" },
    { input: "1\n-1\n", output: "-1 \n-1\n\n" },
  ),
  judged(
    "a module of the answer",
    "def f(x): return x + 1",
    "from solution import f as g\nassert g(1) == 2",
    "import solution\nassert solution.f(2) == 3 and not hasattr(solution, 'g')",
  ),
  judged(
    "a unittest file",
    "def inc(x): return x + 1",
    "import unittest\nclass T(unittest.TestCase):\n  def test_one(self): self.assertEqual(inc(1), 2)\nr = unittest.TextTestRunner().run(unittest.defaultTestLoader.loadTestsFromTestCase(T))\nassert r.wasSuccessful() and r.testsRun == 1",
  ),
  judged(
    "a long list both ways",
    "def twice(xs): return [2 * x for x in xs]",
    "assert twice(list(range(100000))) == list(range(0, 200000, 2))",
  ),
];

const ADD = ["assert add(2, 3) == 5", "assert add(10, -4) == 6", "assert add(0, 0) == 0"];
const cheat = (name: string, code: string, ...tests: UnitTest[]) =>
  judged(name, code, ...(tests.length > 0 ? tests : ADD));

const WRITES = `
import json, os
def all_channels():
  for n in os.listdir('/proc/self/fd'):
    if int(n) > 2: yield int(n)
`;

export const cheats: Judged[] = [
  cheat(
    "equal by a subclass of int",
    "class I(int):\n  def __eq__(s, o): return True\n  __hash__ = int.__hash__\ndef add(a, b): return I(-1)",
  ),
  cheat(
    "equal by a subclass of list",
    "class L(list):\n  def __eq__(s, o): return True\ndef f(n): return L()",
    "assert f(3) == [0, 1, 2]",
  ),
  cheat(
    "equal by a subclass of str",
    "class S(str):\n  def __eq__(s, o): return True\ndef f(n): return S()",
    "assert f(3) == 'x'",
  ),
  cheat(
    "unequal to nothing",
    "class A:\n  def __ne__(s, o): return False\n  def __eq__(s, o): return True\ndef add(a, b): return A()",
    "assert not add(2, 3) != 5",
  ),
  cheat(
    "a difference that is always 0",
    "class A:\n  def __sub__(s, o): return 0.0\n  __rsub__ = __sub__\n  def __abs__(s): return 0.0\n  def __float__(s): return 0.0\ndef half(x): return A()",
    "assert abs(half(3) - 1.5) < 1e-6",
    "assert abs(1.5 - half(3)) < 1e-6",
  ),
  cheat(
    "holds everything",
    "class A:\n  def __contains__(s, o): return True\n  def __getitem__(s, i): return s\ndef f(x): return A()",
    "assert 5 in f(2)",
  ),
  cheat(
    "less and greater than everything",
    "class A:\n  __lt__ = __le__ = __gt__ = __ge__ = lambda s, o: True\ndef f(x): return A()",
    "assert 1.4 < f(2) < 1.5",
  ),
  cheat(
    "hash and equality in a set",
    "class A:\n  def __hash__(s): return hash(5)\n  def __eq__(s, o): return True\ndef add(a, b): return A()",
    "assert add(2, 3) in {5}",
  ),
  cheat(
    "the class of the answer",
    "class add:\n  def __init__(s, a, b): pass\n  def __eq__(s, o): return True\n  def __sub__(s, o): return 0",
  ),
  cheat(
    "answers written ahead",
    `${WRITES}\nfor fd in all_channels():\n  try: os.write(fd, b'"ready"\\n' + b'["ok",true,[]]\\n' * 9)\n  except OSError: pass`,
  ),
  cheat(
    "results written ahead",
    `${WRITES}\nfor fd in all_channels():\n  try: os.write(fd, b'=[0,""]\\n=[1,""]\\n=[2,""]\\n="end"\\n')\n  except OSError: pass\nos._exit(0)`,
  ),
  cheat("results printed", "for i in range(3): print('=[%d,\"\"]' % i, flush=True)\nprint('=\"end\"')"),
  cheat(
    "StopIteration ends the loop of the test",
    "def add(a, b): raise StopIteration",
    "cases = [(2, 3, 5), (1, 1, 2)]\nassert all(map(lambda c: add(c[0], c[1]) == c[2], cases))",
  ),
  cheat("exits with success", "def add(a, b): raise SystemExit(0)"),
  cheat("ends its process with success", "import os\ndef add(a, b): os._exit(0)"),
  cheat(
    "raises what the harness uses",
    "def add(a, b):\n  import sys\n  raise sys.modules['__main__'].Gone('x')",
  ),
  cheat(
    "the tests in the frames",
    "import sys\ndef add(a, b):\n  f = sys._getframe()\n  seen = []\n  while f:\n    seen += [str(c) for c in f.f_code.co_consts] + [repr(v) for v in f.f_locals.values()] + [repr(v) for v in f.f_globals.values()]\n    f = f.f_back\n  import re\n  m = re.search(r'add\\((%d), ?(%d)\\) ?== ?(-?\\d+)' % (a, b), ' '.join(seen))\n  return int(m.group(3))",
  ),
  cheat(
    "the tests among the objects",
    "import gc, re\ndef add(a, b):\n  for o in gc.get_objects():\n    m = re.search(r'add\\(%d, ?%d\\) ?== ?(-?\\d+)' % (a, b), repr(o)[:100000]) if isinstance(o, (list, dict, tuple)) else None\n    if m: return int(m.group(1))",
  ),
  cheat(
    "the tests in files, arguments and environments",
    "import glob, re, os\nseen = b''\nfor p in glob.glob('/program/*') + glob.glob('/tmp/*') + glob.glob('/proc/[0-9]*/environ') + glob.glob('/proc/[0-9]*/cmdline') + glob.glob('/proc/[0-9]*/fd/*') + ['solution.py', 'tests.json', 'main.py']:\n  try:\n    if os.path.isfile(p) or p.startswith('/proc'):\n      fd = os.open(p, os.O_RDONLY | os.O_NONBLOCK)\n      seen += os.read(fd, 1 << 20)\n  except OSError: pass\ndef add(a, b):\n  m = re.search((r'add\\(%d, ?%d\\) ?== ?(-?\\d+)' % (a, b)).encode(), seen)\n  return int(m.group(1))",
  ),
  cheat(
    "the tests in another process's memory",
    "import glob, re\ndef add(a, b):\n  for p in glob.glob('/proc/[0-9]*/mem'):\n    for line in open(p.replace('mem', 'maps')):\n      lo, hi = [int(x, 16) for x in line.split()[0].split('-')]\n      try:\n        f = open(p, 'rb'); f.seek(lo); m = re.search((r'add\\(%d, %d\\) == (-?\\d+)' % (a, b)).encode(), f.read(hi - lo))\n      except (OSError, ValueError, OverflowError): continue\n      if m: return int(m.group(1))",
  ),
  cheat(
    "json, exec, compile and print replaced",
    "import builtins, json, sys\nm = sys.modules['__main__']\nfor k in ('exec', 'compile', 'print'): setattr(builtins, k, lambda *a, **k: None)\njson.loads = lambda s, **k: ['result', 'ok', True]\nm.dumps = lambda x: '[\"ok\",true,[]]'\nm.encode = lambda *a: True",
  ),
  cheat(
    "kills what it can see",
    "import os, signal\ndef add(a, b):\n  for pid in range(1, 400):\n    if pid != os.getpid():\n      try: os.kill(pid, signal.SIGKILL)\n      except OSError: pass\n  os.kill(-1, signal.SIGKILL)\n  return 0",
  ),
  cheat(
    "traces whoever calls",
    "import ctypes\ndef add(a, b):\n  l = ctypes.CDLL(None)\n  for pid in range(1, 50): l.ptrace(16, pid, 0, 0)\n  return 1",
  ),
  cheat(
    "the expected value is made of the argument",
    "def sort(xs):\n  xs.clear()\n  return []",
    "xs = [3, 1, 2]\nassert sort(xs) == sorted(xs)",
    "xs = [3, 1, 2]\nr = sort(xs)\nassert r == sorted(xs)",
  ),
  cheat(
    "an argument that must not change does",
    "def top(xs):\n  xs.sort()\n  return xs[-1]",
    "xs = [3, 1, 2]\nassert top(xs) == 3\nassert xs == [3, 1, 2]",
  ),
  cheat(
    "a helper of the tests replaced",
    "def isclose(a, b, **k): return True\ndef abs(x): return 0\ndef half(x): return 0\nclass math: isclose = lambda *a, **k: True",
    "assert isclose(half(3), 1.5)",
    "assert abs(half(3) - 1.5) < 1e-6",
    "assert math.isclose(half(3), 1.5)",
  ),
  cheat(
    "a module of the answer replaced",
    "import sys, types\nm = types.ModuleType('math')\nm.isclose = lambda *a: True\nsys.modules['math'] = math = m\ndef half(x): return 0",
    "import math\nassert math.isclose(half(3), 1.5)",
    "assert math.isclose(half(5), 2.5)",
  ),
  cheat("an endless answer", "def add(a, b): return 'x' * (64 << 20)"),
  cheat(
    "an endless flood into the channel",
    `${WRITES}\ndef add(a, b):\n  while True:\n    for fd in all_channels():\n      try: os.write(fd, b'x' * 65536)\n      except OSError: pass`,
  ),
  cheat(
    "answers that are no messages",
    `${WRITES}\ndef add(a, b):\n  for fd in all_channels():\n    try: os.write(fd, b'{"t":"tuple"}\\n[1]\\n["ok"]\\n[[[[\\n\\xff\\xfe\\n["ok",{"t":"named","name":"x;y","fields":["__class__"],"v":[]},[]]\\n["raise",{"class":"print","args":[],"state":{}}]\\n')\n    except OSError: pass`,
  ),
  cheat("nested without end", "def add(a, b):\n  x = []\n  x.append(x)\n  return x"),
  cheat(
    "nested very deeply",
    `${WRITES}\ndef add(a, b):\n  for fd in all_channels():\n    try: os.write(fd, b'["ok",' + b'[' * 100000 + b']' * 100000 + b',[]]\\n')\n    except OSError: pass`,
  ),
  cheat(
    "the judge's own functions called back",
    "def run(f):\n  for how in (lambda: f.__globals__, lambda: f.__code__, lambda: f.__closure__):\n    try: return how()['answer']\n    except Exception: pass\n  return f",
    "answer = 41\nassert run(lambda: answer + 1) == 41",
  ),
  cheat(
    "Python's own functions as answers",
    "def get(n): return exec",
    "assert get(1) == 2",
    "assert get(1)('raise SystemExit') is not None",
  ),
  cheat(
    "the output known from elsewhere",
    "import os, glob\nfor p in glob.glob('/program/*') + ['/proc/self/fd/3', '/proc/self/fd/4']:\n  try: print(open(p).read())\n  except OSError: pass",
    { input: "2\n", output: "4\n" },
  ),
  cheat("no answer", "def add(a, b):\n  while True: pass"),
];
