// Templates render as in Python: against a record of jinja2 in the environment of transformers (make-jinja-fixtures.py), where errors
// there are errors here. What is not served is refused, never rendered otherwise.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { JinjaTemplate } from "../src/chat/jinja/render.ts";
import { jinjaTemplate } from "../src/index.ts";

const fixtures = join(import.meta.dirname, "fixtures");
const record = JSON.parse(readFileSync(join(fixtures, "jinja.json"), "utf8")) as {
  values: Record<string, unknown>;
  lines: (string | null)[];
  blocks: [string, string | null][];
};
const lines = readFileSync(join(fixtures, "jinja-cases.txt"), "utf8").replace(/\n$/, "").split("\n");
const cases = [...lines.map((line, i) => [line, record.lines[i]!] as const), ...record.blocks];
const { messages, add_generation_prompt: generate, tools, ...variables } = record.values;

const render = (source: string) =>
  jinjaTemplate(`{# tools tool_calls #}${source}`, { place: "t", variables }).render(
    messages as never,
    generate as boolean,
    tools as unknown[],
  );

test.each(cases)("as_python_renders %j", (source, expected) => {
  const rendered = () => new JinjaTemplate(source).render(record.values);
  if (expected === null) expect(rendered).toThrow();
  else expect(rendered()).toBe(expected);
});

test.each([
  ["a filter that makes groups", "{{ xs | groupby('n') }}", "groupby"],
  ["an escape for HTML", "{{ s | escape }}", "escape"],
  ["a text marked as safe that is joined", "{{ (s | safe) + s }}", "str"],
  ["a block to be replaced", "{% block x %}{% endblock %}", "block"],
  ["another file", "{% include 'x' %}", "include"],
  ["a number in another base", "{{ '11' | int(0, 2) }}", "base"],
  ["a part of the day nobody serves", "{{ strftime_now('%U') }}", "%U"],
  ["text without sense", "{{ lipsum() }}", "lipsum"],
  ["a place to begin at", "{{ s.find('a', 1) }}", "find"],
  ["an object printed with its address", "{{ range }}", "range"],
  ["what a filter gives one by one, printed", "{{ lst | map('string') }}", "one by one"],
])("not_served_is_refused_by_name %s", (_, source, name) => {
  expect(() => render(source)).toThrow(
    expect.objectContaining({ exitCode: 2, why: expect.stringContaining(name) }),
  );
});

// Renderings of jinja2 3.1.6 with `xs` 3, 1, 2.
test.each([
  [
    "break in a with block",
    "{% for x in [1,2] %}{% with a=1 %}{% if x==1 %}{% break %}{% endif %}{% endwith %}{{ x }}{% endfor %}",
    "",
  ],
  [
    "continue in a with block",
    "{% for x in [1,2] %}{% with a=1 %}{% if x==1 %}{% continue %}{% endif %}{% endwith %}{{ x }}{% endfor %}",
    "2",
  ],
  [
    "break in the else of an inner loop",
    "{% for y in [1,2] %}{% for x in [] %}{% else %}{% break %}{% endfor %}{{ y }}{% endfor %}",
    "",
  ],
  ["else after a body that breaks", "{% for x in [1] %}{% break %}{% else %}E{% endfor %}", "E"],
  [
    "else after a body that once ends",
    "{% for x in [1,2] %}{% if x==2 %}{% break %}{% endif %}{% else %}E{% endfor %}",
    "",
  ],
  ["a generator joined twice", "{% set g = xs|map('string') %}{{ g|join }}|{{ g|join }}", "312|"],
  ["the rest of a generator", "{% set g = xs|map('string') %}{{ g|first }}|{{ g|join }}", "3|12"],
  ["a generator searched", "{% set g = xs|select %}{{ 1 in g }} {{ g|list }}", "True [2]"],
  [
    "ties of printed numbers",
    "{{ '%.0f %.0f %.2f' % (0.5, 2.5, 0.125) }} {{ '{:.1f}'.format(0.25) }} {{ '%.1f' % -0.75 }} {{ '%.1f' % 0.35 }}",
    "0 2 0.12 0.2 -0.8 0.3",
  ],
  ["zeros behind a sign", "{{ '{:05.1f}|{:03d}'.format(-3.14, -7) }}", "-03.1|-07"],
  ["empty texts counted", "{{ 'abc'.count('') }}", "4"],
])("python_renders_too %s", (_, source, expected) => {
  expect(new JinjaTemplate(source).render({ xs: [3, 1, 2] })).toBe(expected);
});

test.each([
  ["a whole number beyond doubles", "{{ 99999999999999999999 }}", "2^53"],
  ["such a number in a text", "{{ '99999999999999999999' | int }}", "2^53"],
  ["a complex number", "{{ (-8) ** 0.5 }}", "complex"],
  ["ends of lines that are kept", "{{ 'a\\nb'.splitlines(true) }}", "ends of lines"],
  ["an argument too many of a method", "{{ 'abc'.upper(1) }}", "upper() takes at most 0"],
  ["an argument too many of a filter", "{{ [3] | first(1) }}", "first() takes at most 0"],
  ["a method's argument by name", "{{ 'abc'.strip(chars='a') }}", "unexpected keyword argument 'chars'"],
  [
    "a dictionary's argument by name",
    "{{ {}.get('q', default=5) }}",
    "unexpected keyword argument 'default'",
  ],
  ["a filter's unknown argument", "{{ [3] | join(',', nope=1) }}", "unexpected keyword argument 'nope'"],
  ["a missing number", "{{ missing | int }}", "missing"],
  ["an ending longer than the text", "{{ 'foo bar' | truncate(2, leeway=0) }}", "length"],
  ["a number printed as text", "{{ '{:s}'.format(3) }}", "'s'"],
  ["a width beyond any line", "{{ '%999999999d' % 1 }}", "width"],
])("refused_and_not_rendered_otherwise %s", (_, source, why) => {
  expect(() => new JinjaTemplate(source).render({})).toThrow(why);
});

test.each([
  ["brackets", "{{ ".concat("(".repeat(20_000), "1", ")".repeat(20_000), " }}")],
  ["blocks", "{% if 1 %}".repeat(20_000)],
])("a_template_nested_too_deeply_is_a_mistake_of_the_template %s", (_, source) => {
  expect(() => jinjaTemplate(source, { place: "t" })).toThrow(
    expect.objectContaining({ code: "chat_template_invalid", exitCode: 2 }),
  );
});

test("blanks_before_a_tag_and_in_a_message_are_gone_through_once", () => {
  // A million blanks would take half an hour where each is the start of another search.
  const blanks = " ".repeat(1_000_000);
  expect(new JinjaTemplate(`${blanks}x{%- if 1 %}y{% endif %}`).render({})).toBe(`${blanks}xy`);
  expect(new JinjaTemplate("{{ s.rstrip() }}").render({ s: `${blanks}x\x1f\u3000\n` })).toBe(`${blanks}x`);
});

test("a_written_day_is_the_same_every_day", () => {
  expect(render("{{ strftime_now('%d %B %Y, %A %H:%M') }} {{ date_string }}")).toBe(
    "26 July 2024, Friday 00:00 26 Jul 2024",
  );
});
