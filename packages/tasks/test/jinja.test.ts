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

test("a_written_day_is_the_same_every_day", () => {
  expect(render("{{ strftime_now('%d %B %Y, %A %H:%M') }} {{ date_string }}")).toBe(
    "26 July 2024, Friday 00:00 26 Jul 2024",
  );
});
