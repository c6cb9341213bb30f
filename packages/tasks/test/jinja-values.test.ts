// Values that templates of Python go through: keys of dictionaries that are equal, generators that are used up, numbers in formats.
// Renderings by jinja2 3.1.6 in the sandbox of transformers, and templates that it refuses.
import { expect, test } from "vitest";
import { JinjaTemplate } from "../src/chat/jinja/render.ts";

const values = { xs: [3, 1, 2], u: "😀ß" };

test.each([
  [
    "true is the key 1",
    "{{ {1: 'a'}[true] }} {{ {true: 'a', 1.0: 'b'} }} {{ {0: 'n', false: 'f'}|length }} {{ true in {1.0: 2} }} {{ {1: 'a'}.get(1.0) }}",
    "a {True: 'b'} 1 True a",
  ],
  [
    "numbers and texts are two keys",
    "{{ {1: 'a', '1': 'b'}|length }} {{ {'1': 'b'}[1] is defined }}",
    "2 False",
  ],
  [
    "tuples are keys by their items",
    "{{ {(1, 'a'): 'x'}[(1.0, 'a')] }} {{ (1, 2) in {(1, 2): 0} }} {{ {('a', 'b'): 1, ('a,b',): 2}|length }}",
    "x True 2",
  ],
  ["a missing name is a key", "{{ {missing: 3}[other] }} {{ {none: 4}[none] }}", "3 4"],
  [
    "a dictionary of pairs has the last value at the first place",
    "{{ dict([(1, 'a'), (2, 'b'), (true, 'c')]) }}",
    "{1: 'c', 2: 'b'}",
  ],
  [
    "what a loop that breaks leaves",
    "{% set g = xs|map('string') %}{% for x in g %}{{ x }}{% break %}{% endfor %}|{{ g|join }}",
    "3|12",
  ],
  [
    "a loop that asks for its last item took one in advance",
    "{% set g = xs|map('string') %}{% for x in g %}{{ x }}{{ loop.last }}{% break %}{% endfor %}|{{ g|join }}",
    "3False|2",
  ],
  [
    "a loop that counts took all",
    "{% set g = xs|map('string') %}{% for x in g %}{{ x }}{{ loop.length }}{% break %}{% endfor %}|{{ g|join }}",
    "33|",
  ],
  [
    "the next item is not lost to the loop",
    "{% set g = xs|map('string') %}{% for x in g %}{{ x }}{{ loop.nextitem }},{% endfor %}|{{ g|join }}",
    "31,12,2,|",
  ],
  [
    "a body that takes from its generator",
    "{% set g = xs|map('string') %}{% for x in g %}{{ x }}-{{ g|first }};{% endfor %}",
    "3-1;2-;",
  ],
  [
    "a condition takes what it leaves out",
    "{% set g = [1, 2, 3, 4, 5]|map('int') %}{% for x in g if x is even %}{{ x }}{% break %}{% endfor %}|{{ g|join }}",
    "2|345",
  ],
  [
    "two loops over one generator",
    "{% set g = xs|map('string') %}{% for x in g %}{{ x }}{% for y in g %}{{ y }};{% endfor %}{% endfor %}",
    "31;2;",
  ],
  [
    "counts from the end with a condition",
    "{% for x in xs if x != 1 %}{{ x }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.length }}{{ loop.last }} {% endfor %}",
    "3212False 2102True ",
  ],
  [
    "items before and behind that are none",
    "{% for x in [none, 1, none] %}{{ loop.previtem }}{{ loop.nextitem }};{% endfor %}",
    "1;NoneNone;1;",
  ],
  [
    "names of a loop with a condition become a tuple",
    "{% for a, b in [[1, 2], [3, 4]] if a %}{{ loop.previtem }}{% endfor %}",
    "(1, 2)",
  ],
  [
    "generators are equal to themselves alone",
    "{% set g = xs|select %}{{ g == g }} {{ (xs|select) == (xs|select) }} {{ {1: 2}.values() == {1: 2}.values() }}",
    "True False False",
  ],
  [
    "a value that is another generator each time has changed",
    "{% for x in [1, 1, 1] %}{{ loop.changed(xs|select) }}{{ loop.changed(x) }} {% endfor %}",
    "TrueTrue TrueTrue TrueTrue ",
  ],
  [
    "rows are filled where they divide evenly",
    "{{ [1, 2, 3, 4]|slice(2, 0)|list }} {{ [1, 2, 3]|slice(2, 0)|list }}",
    "[[1, 2, 0], [3, 4, 0]] [[1, 2], [3, 0]]",
  ],
  ["a separator that is none", "{{ xs|join(none) }} {{ xs|join() }}", "3None1None2 312"],
  [
    "keys in order are the keys themselves",
    "{{ {10: 1, 2: 2}|tojson(sort_keys=true) }}",
    '{"2": 2, "10": 1}',
  ],
  [
    "the last ASCII character in JSON",
    "{{ '\u007f'|tojson(ensure_ascii=true) }}{{ '\u007f'|tojson }}",
    '"\\u007f""\u007f"',
  ],
  [
    "signs of zero",
    "{{ -0.0 % 3 }} {{ 6.0 % -3 }} {{ -0.0|round(1) }} {{ -0.4|round(0, 'ceil') }} {{ 0 * -3 }} {{ -4 % 2 }}",
    "0.0 -0.0 -0.0 0.0 0 0",
  ],
  [
    "digits of whole numbers",
    "{{ '%.3d|%-6.3d|%06d|%.3x|%x' % (7, -7, -42, 10, -255) }}",
    "007|-007  |-00042|00a|-ff",
  ],
  [
    "widths are in characters",
    "{{ '%4s|%-4s|' % (u, u) }}{{ '{:4}|'.format(u) }}{{ '%5r' % (u,) }}",
    "  😀ß|😀ß  |😀ß  | '😀ß'",
  ],
  ["a bool in a width is its number", "{{ '{:3}|{:d}|{}'.format(true, false, true) }}", "  1|0|True"],
])("rendered_as_by_python %s", (_, source, expected) => {
  expect(new JinjaTemplate(source).render(values)).toBe(expected);
});

test.each([
  "{{ {[1]: 2} }}",
  "{{ [] in {1: 2} }}",
  "{{ {1: 2}.get({}) }}",
  "{{ [[1], [1]]|unique|list }}",
  "{{ [1] is filter }}",
  "{{ xs|sort('x') }}",
  "{{ []|sum(start='') }}",
  "{{ xs|sort(none) }}",
  "{{ '{:5}'.format(xs) }}",
  "{{ '{:d}'.format('a') }}",
  "{{ '%x' % 2.0 }}",
  "{{ {1: 1, 'a': 2}|tojson(sort_keys=true) }}",
])("refused_as_by_python %s", (source) => {
  expect(() => new JinjaTemplate(source).render(values)).toThrow();
});

test("a_loop_over_a_long_generator_is_bounded_by_the_budget_alone", () => {
  // Each item is taken once, and not copied with all that follow.
  const long =
    "{% for x in range(100000)|map('string') %}{% if x == '99999' %}{{ x }}{% endif %}{% endfor %}";
  expect(new JinjaTemplate(long).render({})).toBe("99999");
});
