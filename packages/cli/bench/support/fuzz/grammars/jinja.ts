// Grammar of chat templates in Jinja.
import type { Draw } from "../inputs.ts";
import { text } from "./values.ts";

export function jinja(d: Draw): Buffer {
  const expression = (depth: number): string =>
    depth === 0
      ? d.pick([
          "m",
          "m.role",
          "'a'",
          "1",
          "messages",
          "none",
          "true",
          "range(9)",
          "namespace(x=1)",
          "x",
          "[1,2]",
          "{'a': 1}",
          "loop.index",
          "m['content']",
        ])
      : d.pick([
          `(${expression(depth - 1)} ${d.pick(["+", "~", "*", "==", "in", "and", "%", "/", "<", "is"])} ${expression(depth - 1)})`,
          `${expression(depth - 1)} | ${d.pick(["trim", "length", "join", "tojson", "upper", "list", "first", "zz", "replace('a','b')", "indent(2)", "items"])}`,
          `${expression(depth - 1)}[${expression(depth - 1)}]`,
          `not ${expression(depth - 1)}`,
          `${expression(depth - 1)}.strip()`,
        ]);
  const block = (depth: number): string => {
    const inner = () =>
      depth === 0 ? `{{ ${expression(d.below(3))} }}` : d.many(3, () => block(depth - 1)).join(text(d));
    return d.pick([
      `{% for m in ${expression(1)} %}${inner()}{% endfor %}`,
      `{% if ${expression(2)} %}${inner()}{% else %}${inner()}{% endif %}`,
      `{% set x = ${expression(2)} %}`,
      `{{ ${expression(2)} }}`,
      `{% macro f(a) %}${inner()}{% endmacro %}{{ f(1) }}`,
      "{# c #}",
      "{% raw %}{{{% endraw %}",
      "{{",
      "%}",
      "{% for m in messages %}",
      "{%- break -%}",
      "{% generation %}x{% endgeneration %}",
    ]);
  };
  return Buffer.from(d.many(5, () => block(3)).join(text(d)));
}
