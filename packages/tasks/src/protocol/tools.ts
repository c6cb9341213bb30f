// How calls of tools stand in what a model writes, and how results are given back: by fences, or by the model's chat template.
//
// Fences: a block ```python … ``` (or of another tool's name), then ```output, where the model stops; the environment writes the rest of
// that block. Chat: the calls as the model was trained to write them, read from a whole turn; the results and the head of the next turn as
// the template writes them. What a model has written is never written again: a reply is what follows it.
import type { ChatMessage } from "../chat/messages.ts";
import type { ChatTemplate } from "../chat/template.ts";
import { blockTool, type Tool, type ToolCall } from "../environments/definition.ts";

/** A piece of a reply. `plain`: names of special tokens in it are text. */
export interface ReplyPart {
  text: string;
  plain: boolean;
}

export interface ToolProtocol {
  /** Texts at which the model stops for a result. */
  readonly stops: readonly string[];
  /**
   * Calls in which the text of a turn ends, or why the turn that asks for a result has none that can be made; undefined where it asks for none.
   */
  callsOf(turn: string): readonly ToolCall[] | { fault: string } | undefined;
  /** What stands between the turn and the next one. `outputs`: of its calls in their order. */
  reply(turn: string, calls: readonly ToolCall[], outputs: readonly string[]): readonly ReplyPart[];
}

const OUTPUT = "```output";
const block = /```[ \t]*([\w.-]+)[^\n]*\n([\s\S]*?)```/g;

/** The tool that a fence names; Python has several spellings. */
function toolName(info: string): string {
  const name = info.toLowerCase();
  return /^(?:python|py)[\d.]*$/.test(name) ? "python" : name;
}

function fencedCall(before: string, tools: readonly Tool[]): ToolCall | { fault: string } | undefined {
  const found = [...before.matchAll(block)].findLast(([, info]) => toolName(info!) !== "output");
  if (!found) return undefined;
  const name = toolName(found[1]!);
  const text = found[2]!.trimEnd();
  const single = blockTool(tools, name);
  if (single) return { name, arguments: { [single.argument]: text } };
  if (!tools.some((tool) => tool.name === name)) return { fault: `there is no tool ${name}` };
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed === "object" && parsed !== null && !Array.isArray(parsed))
      return { name, arguments: parsed as Record<string, unknown> };
  } catch {
    // Named below.
  }
  return { fault: `${name} needs its arguments as a JSON object` };
}

/** Calls as fenced blocks. */
export function fenceProtocol(tools: readonly Tool[]): ToolProtocol {
  return {
    stops: [OUTPUT],
    callsOf(turn) {
      const at = turn.indexOf(OUTPUT);
      if (at < 0) return undefined;
      const call = fencedCall(turn.slice(0, at), tools);
      return call && ("fault" in call ? call : [call]);
    },
    reply(turn, _, [output = ""]) {
      const behind = turn.slice(turn.indexOf(OUTPUT) + OUTPUT.length);
      return [{ text: `${behind.includes("\n") ? "" : "\n"}${output}\n\`\`\`\n`, plain: true }];
    },
  };
}

/** Calls of a JSON list where all its members are calls of tools; else it is an answer. */
function callsInList(text: string, tools: readonly Tool[]): ToolCall[] | undefined {
  try {
    const calls = (JSON.parse(text) as unknown[]).map((call) => jsonCall(JSON.stringify(call)));
    return calls.every((call) => call && tools.some(({ name }) => name === call.name))
      ? (calls as ToolCall[])
      : undefined;
  } catch {
    return undefined;
  }
}

const tagged = /<tool_call>([\s\S]*?)(?:<\/tool_call>|$)/g;

/** The call that a JSON text is; undefined where it is none. */
function jsonCall(text: string): ToolCall | undefined {
  try {
    const parsed = JSON.parse(text.trim()) as { name?: unknown; arguments?: unknown; parameters?: unknown };
    const given = parsed?.arguments ?? parsed?.parameters ?? {};
    const args: unknown = typeof given === "string" ? JSON.parse(given) : given;
    if (typeof parsed?.name !== "string" || typeof args !== "object" || args === null) return undefined;
    return { name: parsed.name, arguments: args as Record<string, unknown> };
  } catch {
    return undefined;
  }
}

/**
 * The calls in a turn, in the forms that models are trained to write: JSON between <tool_call> tags (Hermes, Qwen), a JSON list behind
 * [TOOL_CALLS] (Mistral), or a turn that is a JSON object with name and parameters (Llama 3). Names of special tokens may be missing.
 */
export function chatCalls(
  turn: string,
  tools: readonly Tool[],
): readonly ToolCall[] | { fault: string } | undefined {
  const own = turn.slice(turn.lastIndexOf("</think>") + 1).replace(/^\/think>/, "");
  const known = (calls: readonly (ToolCall | undefined)[]) => {
    const missing = calls.find((call) => call && !tools.some(({ name }) => name === call.name));
    if (calls.some((call) => call === undefined))
      return { fault: "a call is not JSON with a name and arguments" };
    return missing ? { fault: `there is no tool ${missing.name}` } : (calls as ToolCall[]);
  };
  const marked = [...own.matchAll(tagged)];
  if (marked.length > 0) return known(marked.map(([, text]) => jsonCall(text!)));
  const list = /\[TOOL_CALLS\]\s*(\[[\s\S]*)/.exec(own);
  if (list)
    return callsInList(list[1]!, tools) ?? { fault: "the calls are not a JSON list of calls of tools" };
  const bare = own.replace(/^\s*(?:<\|python_tag\|>)?\s*/, "").replace(/<\|\w+\|>\s*$/, "");
  // A template's own mark of a list of calls is a special token and leaves no text.
  if (/^\[\s*\{/.test(bare)) return callsInList(bare, tools);
  const call = bare.startsWith("{") ? jsonCall(bare) : undefined;
  return call && tools.some(({ name }) => name === call.name) ? [call] : undefined;
}

const MARK = (i: number) => `result8f1c6a${i}.`;

/** Calls as a chat template writes them. Its `reply` throws NsaError `chat_refused` (exit 2) where the template cannot. */
export function chatProtocol(template: ChatTemplate, tools: readonly Tool[]): ToolProtocol {
  const described = tools.map((tool) => ({ type: "function", function: tool }));
  return {
    stops: [],
    callsOf: (turn) => chatCalls(turn, tools),
    reply(_, calls, outputs) {
      const made = calls.length > 0 ? calls : [{ name: tools[0]!.name, arguments: {} }];
      const messages: ChatMessage[] = [
        { role: "user", content: "question" },
        {
          role: "assistant",
          content: "",
          tool_calls: made.map((call, i) => ({ id: `call0000${i}`, type: "function", function: call })),
        },
      ];
      const results = outputs.map(
        (_, i): ChatMessage => ({
          role: "tool",
          name: made[i % made.length]!.name,
          tool_call_id: `call0000${i}`,
          content: MARK(i),
        }),
      );
      const before = template.render(messages, false, described);
      const all = template.render([...messages, ...results], true, described);
      let shared = 0;
      while (shared < before.length && before[shared] === all[shared]) shared++;
      // The turn ends with one of the template's ends, which the model has written.
      const end = template.stop.map((stop) => before.lastIndexOf(stop) + stop.length).filter((at) => at > 0);
      const from = Math.min(shared, Math.max(0, ...end.filter((at) => at <= shared)) || shared);
      const parts: ReplyPart[] = [];
      let rest = all.slice(from);
      for (const [i, output] of outputs.entries()) {
        const at = rest.indexOf(MARK(i));
        parts.push({ text: rest.slice(0, at), plain: false }, { text: output, plain: true });
        rest = rest.slice(at + MARK(i).length);
      }
      return [...parts, { text: rest, plain: false }].filter(({ text }) => text !== "");
    },
  };
}

/** Whether a template writes tools and their calls. */
export const writesTools = ({ source }: ChatTemplate): boolean =>
  source.includes("tool_calls") && /\btools\b/.test(source);
