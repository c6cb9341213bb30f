// Messages as records and clients have them, and as templates read them: calls of tools, empty turns, contents in parts.
import { z } from "zod";

/** A turn, with whatever else a template knows: `tool_calls`, `name`, `tool_call_id` … */
export interface ChatMessage {
  role: string;
  content: string;
  [key: string]: unknown;
}

const part = z.looseObject({ type: z.literal("text"), text: z.string() });

/** A conversation of a record: contents are text, parts of text, or null (an empty turn, or one of calls alone). */
export const conversationSchema = z.array(
  z.looseObject({
    role: z.string(),
    content: z
      .union([z.string(), z.array(part)])
      .nullish()
      .transform((c) => (typeof c === "string" ? c : (c ?? []).map((p) => p.text).join(""))),
  }),
);

const callsOf = ({ tool_calls: calls }: ChatMessage): unknown[] => (Array.isArray(calls) ? calls : []);

/** What a template would leave out without a word; undefined where it leaves out nothing. */
export function lostBy(
  source: string,
  messages: readonly ChatMessage[],
  tools: readonly unknown[],
): string | undefined {
  if (messages.some((m) => callsOf(m).length > 0) && !source.includes("tool_calls")) return "tool_calls";
  return tools.length > 0 && !/\btools\b/.test(source) ? "tools" : undefined;
}

/** Arguments as an object, as most templates read them; APIs write them as text. */
function parsed(call: unknown): unknown {
  const { function: fn } = (call ?? {}) as { function?: { arguments?: unknown } };
  if (typeof fn?.arguments !== "string") return call;
  try {
    const value: unknown = JSON.parse(fn.arguments);
    if (typeof value !== "object" || value === null) return call;
    return { ...(call as object), function: { ...fn, arguments: value } };
  } catch {
    return call;
  }
}

/** The messages in the forms that templates expect, the likeliest first: arguments of calls as objects, then as they are. */
export function variantsOf(messages: readonly ChatMessage[]): (readonly ChatMessage[])[] {
  if (messages.every((m) => callsOf(m).length === 0)) return [messages];
  return [
    messages.map((m) => (callsOf(m).length > 0 ? { ...m, tool_calls: callsOf(m).map(parsed) } : m)),
    messages,
  ];
}
