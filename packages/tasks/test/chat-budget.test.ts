// Templates of other people's model folders end, whatever they hold: their work is counted.
import { expect, test } from "vitest";
import { findTemplate, jinjaTemplate } from "../src/index.ts";

const message = { role: "user" as const, content: "Hi" };
const render = (source: string) => jinjaTemplate(source, { place: "t" }).render([message], true);
const spent = expect.objectContaining({ code: "chat_refused", exitCode: 2 });

test.each([
  [
    "loops in loops",
    "{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}x{% endfor %}{% endfor %}{% endfor %}",
  ],
  [
    "loops that only set",
    "{% for a in range(99999) %}{% for b in range(99999) %}{% set x = a %}{% endfor %}{% endfor %}",
  ],
  ["a range of a milliard", "{% for a in range(1000000000) %}x{% endfor %}"],
  ["a range without an end", "{% for a in range(0, 9, 0) %}x{% endfor %}"],
  [
    "a text that doubles",
    "{% set n = namespace(t='x') %}{% for i in range(64) %}{% set n.t = n.t ~ n.t %}{% endfor %}{{ n.t }}",
  ],
  [
    "a long text that is gone through again and again",
    "{% set n = namespace(t='ab') %}{% for i in range(24) %}{% set n.t = n.t ~ n.t %}{% endfor %}{% for i in range(3000) %}{{ (n.t | upper) | length }}{% endfor %}",
  ],
  ["a macro that calls itself", "{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}"],
  [
    "macros that call each other twice",
    "{% macro f(n) %}{% if n > 0 %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
  ],
])("%s_end_as_refused", (_, source) => {
  expect(() => render(source)).toThrow(spent);
});

test("after_a_template_that_was_refused_another_renders_and_ranges_are_those_of_jinja", () => {
  expect(() =>
    render("{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}"),
  ).toThrow(spent);
  expect(findTemplate("chatml").render([message], true)).toBe(
    "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n",
  );
  expect(
    render(
      "{% for a in range(3) %}{{ a }}{% endfor %}|{% for a in range(7, 1, -2) %}{{ a }}{% endfor %}|{% for a in range(2, 2) %}{{ a }}{% endfor %}",
    ),
  ).toBe("012|753|");
  const long = Array.from({ length: 3000 }, () => message);
  expect(findTemplate("chatml").render(long, false)).toHaveLength(
    3000 * "<|im_start|>user\nHi<|im_end|>\n".length,
  );
});
