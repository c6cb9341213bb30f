// `nsa chat` on a pipe: a line in, an answer out; commands; the whole conversation goes back to the model.
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { nsa } from "./built.ts";
import { tinyRun } from "./serving.ts";

let run: { dir: string; checkpoint: string };
beforeAll(() => {
  run = tinyRun();
}, 120_000);
afterAll(() => rmSync(run.dir, { recursive: true, force: true }));

const chat = (input: string, flags: string[] = []) =>
  nsa(["chat", run.checkpoint, "--device", "cpu", "--max-tokens", "6", "--template", "plain", ...flags], {
    input,
  });

test("each_line_gets_an_answer_and_a_reset_forgets", () => {
  const greedy = ["--temperature", "0"];
  const once = chat("Who?\n", greedy);
  expect([once.status, once.stderr]).toEqual([0, ""]);
  const again = chat("Who?\n\n/reset\nWho?\n/quit\nWho?\n", greedy);
  expect(again.stdout).toBe(once.stdout + once.stdout);
});

test("the_conversation_so_far_and_the_system_text_change_the_prompt", () => {
  const template = join(run.dir, "echo.jinja");
  // The context is 128: a template that repeats what it gets fails once there is too much of it.
  writeFileSync(template, "{% for m in messages %}{{ m.role }} {{ m.content - 1 }}{% endfor %}");
  const wrong = chat("x\n", ["--template", template]);
  expect(wrong.status).toBe(2);
  writeFileSync(template, "{% for m in messages %}{{ m.role }} {{ m.content }}{% endfor %}");
  const many = chat(`${"word ".repeat(20)}\n`.repeat(9), ["--template", template]);
  expect(many.status).toBe(2);
  expect(many.stderr).toMatch(/context is 128/);
  const system = chat("x\n", ["--template", template, "--system", "word ".repeat(200)]);
  expect(system.stderr).toMatch(/context is 128/);
  expect(chat("/system Be brief.\nx\n/what\n", ["--template", template]).stderr).toMatch(/\/reset forgets/);
});

test("a_template_with_a_mistake_is_refused_with_line_and_column", () => {
  const template = join(run.dir, "bad.jinja");
  writeFileSync(template, "{% for m in messages %}\n  {{ m.role m.content }}\n{% endfor %}");
  const refused = chat("x\n", ["--template", template]);
  expect(refused.status).toBe(2);
  expect(refused.stderr).toContain("bad.jinja:2:3");
  expect(chat("x\n", ["--template", "nothing"]).stderr).toMatch(/chatml, plain, r1_zero/);
});
