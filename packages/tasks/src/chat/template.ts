// Chat templates: messages become the text that a model was trained on.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { NsaError, readText } from "@nsa/core";
import { DAY } from "./jinja/globals.ts";
import { JinjaMistake } from "./jinja/lexer.ts";
import { JinjaTemplate } from "./jinja/render.ts";
import { type ChatMessage, lostBy, variantsOf } from "./messages.ts";

export interface ChatTemplate {
  /** Jinja source. */
  source: string;
  /** Ends an answer. */
  stop: readonly string[];
  /**
   * Text of the messages; with `generate`, up to where the assistant goes on. `tools`: functions that the assistant may call.
   * Throws `chat_refused` (exit 2) for messages that the template cannot write, calls of tools among them where it knows none.
   */
  render(messages: readonly ChatMessage[], generate: boolean, tools?: readonly unknown[]): string;
}

const CHATML =
  "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

const PLAIN =
  "{% for m in messages %}{% if m.role == 'assistant' %}{{ ' ' + m.content + '\\n\\n' }}" +
  "{% elif m.role == 'user' %}{{ 'Question: ' + m.content + '\\nAnswer:' }}" +
  "{% else %}{{ m.content + '\\n\\n' }}{% endif %}{% endfor %}";

const R1_ZERO =
  "{{ 'A conversation between User and Assistant. The user asks a question, and the Assistant solves it. " +
  "The assistant first thinks about the reasoning process in the mind and then provides the user with the answer. " +
  "The reasoning process and answer are enclosed within <think> ... </think> and <answer> ... </answer> tags, " +
  "respectively, i.e., <think> reasoning process here </think> <answer> answer here </answer>.' }}" +
  "{% for m in messages %}{% if m.role == 'assistant' %}{{ ' ' + m.content }}" +
  "{% elif m.role == 'user' %}{{ ' User: ' + m.content + '. Assistant:' }}" +
  "{% else %}{{ ' ' + m.content }}{% endif %}{% endfor %}";

/** Templates by name: `plain` is the chain-of-thought one of DeepSeekMath's recipes here. */
const NAMED: Record<string, { source: string; stop: string[] }> = {
  chatml: { source: CHATML, stop: ["<|im_end|>"] },
  plain: { source: PLAIN, stop: ["\n\nQuestion:"] },
  r1_zero: { source: R1_ZERO, stop: ["</answer>", " User:"] },
};

export const chatTemplateNames = Object.keys(NAMED);

function parse(source: string, place: string): JinjaTemplate {
  try {
    return new JinjaTemplate(source);
  } catch (cause) {
    // Blocks or brackets inside one another beyond the depth of the stack; the place is the template's start.
    const mistake = cause instanceof RangeError ? new JinjaMistake("it is nested too deeply", 0) : cause;
    if (!(mistake instanceof JinjaMistake)) throw cause;
    // Places are those of the source with its line ends as one kind.
    const lines = source.replace(/\r\n?/g, "\n").slice(0, mistake.tag).split("\n");
    throw new NsaError({
      code: "chat_template_invalid",
      what: `${place}:${lines.length}:${lines.at(-1)!.length + 1}`,
      why: mistake.message,
      fix: "correct the Jinja template",
      exitCode: 2,
      cause,
    });
  }
}

function chatRefused(
  place: string,
  messages: readonly ChatMessage[],
  why: string,
  cause?: unknown,
): NsaError {
  return new NsaError({
    code: "chat_refused",
    what: `${place} cannot render ${messages.length} messages`,
    why,
    fix: "send messages that the template supports, or use another template",
    exitCode: 2,
    cause,
  });
}

/** A template from Jinja source. Throws NsaError `chat_template_invalid` (exit 2) with line and column. */
export function jinjaTemplate(
  source: string,
  options: { place: string; stop?: readonly string[]; variables?: Record<string, unknown> },
): ChatTemplate {
  const template = parse(source, options.place);
  return {
    source,
    stop: options.stop ?? [],
    render(messages, generate, tools = []) {
      const lost = lostBy(source, messages, tools);
      if (lost) throw chatRefused(options.place, messages, `the template writes no ${lost}`);
      let failure: unknown;
      for (const variant of variantsOf(messages)) {
        try {
          const values = {
            bos_token: "",
            eos_token: "",
            // Some templates write the day; a text that is trained on twice has to be the same.
            date_string: DAY,
            ...options.variables,
            // transformers gives None where there are none.
            tools: tools.length > 0 ? tools : null,
            documents: null,
            messages: variant,
            add_generation_prompt: generate,
          };
          return template.render(values);
        } catch (cause) {
          failure ??= cause;
        }
      }
      throw chatRefused(options.place, messages, (failure as Error).message, failure);
    },
  };
}

const contentOf = (token: unknown): string | undefined =>
  typeof token === "string" ? token : (token as { content?: string } | null | undefined)?.content;

/** The template that a Hugging Face folder or a checkpoint carries, if any: tokenizer_config.json, chat_template.jinja. */
export function folderTemplate(folder: string): ChatTemplate | undefined {
  const [configPath, jinjaPath] = [
    join(folder, "tokenizer_config.json"),
    join(folder, "chat_template.jinja"),
  ];
  let config: Record<string, unknown> = {};
  if (existsSync(configPath)) {
    try {
      config = JSON.parse(readText(configPath));
    } catch (cause) {
      throw new NsaError({
        code: "tokenizer_config_invalid",
        what: configPath,
        why: (cause as Error).message,
        fix: "correct the file, or remove it",
        exitCode: 3,
        cause,
      });
    }
  }
  // Several templates are a list with names.
  const listed = config.chat_template as string | { name: string; template: string }[] | undefined;
  const own = Array.isArray(listed)
    ? (listed.find((t) => t.name === "default") ?? listed[0])?.template
    : listed;
  const source = existsSync(jinjaPath) ? readText(jinjaPath) : own;
  if (source === undefined) return undefined;
  const [bos, eos] = [contentOf(config.bos_token), contentOf(config.eos_token)];
  const named = Object.values(NAMED).find((n) => n.source === source);
  return jinjaTemplate(source, {
    place: existsSync(jinjaPath) ? jinjaPath : `${configPath}#chat_template`,
    stop: [...(named?.stop ?? []), ...(eos ? [eos] : [])],
    variables: { bos_token: bos ?? "", eos_token: eos ?? "" },
  });
}

/**
 * A template by its name (`chatml`, `plain`, `r1_zero`), or the path of a .jinja file or of a folder with a
 * tokenizer_config.json. Throws NsaError `chat_template_unknown`, `chat_template_invalid` (exit 2).
 */
export function findTemplate(name: string): ChatTemplate {
  const named = NAMED[name];
  if (named) return jinjaTemplate(named.source, { place: name, stop: named.stop });
  if (name.endsWith(".jinja") && existsSync(name)) return jinjaTemplate(readText(name), { place: name });
  const folder = existsSync(name) ? folderTemplate(name) : undefined;
  if (folder) return folder;
  throw new NsaError({
    code: "chat_template_unknown",
    what: `chat template ${name}`,
    why: `it is none of ${chatTemplateNames.join(", ")}, no .jinja file, and no folder with a chat_template`,
    fix: "name one of these",
    exitCode: 2,
  });
}

/** What a recipe's template is read from, where it names neither a known one nor a folder that is there. */
export const templateInputs = (name: string | undefined): string[] =>
  name === undefined || Object.hasOwn(NAMED, name) || existsSync(name) ? [] : [name];

/** The template of a checkpoint's conversations: the named one, its own, or ChatML. Throws as {@link findTemplate}. */
export function chatTemplateOf(checkpoint: string, name?: string): ChatTemplate {
  return name ? findTemplate(name) : (folderTemplate(checkpoint) ?? findTemplate("chatml"));
}
