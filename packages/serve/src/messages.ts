// Messages of a chat request: roles, contents as text or in parts, and fields that neither a template nor this server reads.
import { z } from "zod";
import { ApiError } from "./http.ts";

const textPart = z.looseObject({ type: z.literal("text"), text: z.string() });
/** The text of a model that refuses to answer. */
const refusalPart = z.looseObject({ type: z.literal("refusal"), refusal: z.string() });

const text = z
  .unknown()
  .optional()
  .transform((content, context): string => {
    if (content === undefined || content === null) return "";
    if (typeof content === "string") return content;
    if (!Array.isArray(content)) {
      context.addIssue({ code: "custom", message: "it is neither text nor a list of parts" });
      return z.NEVER;
    }
    const texts = content.map((part: unknown, i): string => {
      const read = textPart.safeParse(part);
      if (read.success) return read.data.text;
      const refusal = refusalPart.safeParse(part);
      if (refusal.success) return refusal.data.refusal;
      const type = (part as { type?: unknown } | null)?.type;
      const why =
        typeof type === "string" && type !== "text" && type !== "refusal"
          ? `a part of the type ${type} is not supported: the model reads text`
          : "it is no part of text, which has type and text";
      context.addIssue({ code: "custom", path: [i], message: why });
      return "";
    });
    return texts.join("");
  });

export const messageSchema = z.looseObject({
  role: z.enum(["system", "developer", "user", "assistant", "tool"]),
  content: text,
});

type Message = z.output<typeof messageSchema>;

/** Fields that do not change the text, or that templates read where they can. */
const PASSED = new Set(
  "role content name tool_calls tool_call_id id annotations cache_control reasoning_content reasoning thinking".split(
    " ",
  ),
);

const empty = (value: unknown) =>
  value === undefined ||
  value === null ||
  value === false ||
  value === "" ||
  (Array.isArray(value) && value.length === 0);

/**
 * The messages as a template reads them; `source` is its text. A refusal of the model is the content of its message. Throws ApiError 400 for a
 * field of a message that is neither supported nor named by the template, as it might change the text.
 */
export function readMessages(messages: readonly Message[], source: string): (Message & { role: string })[] {
  return messages.map(({ role, content, refusal, tool_calls: calls, ...more }, i) => {
    const [unknown] =
      Object.entries(more).find(
        ([key, value]) => !(PASSED.has(key) || empty(value) || source.includes(key)),
      ) ?? [];
    const param =
      unknown ?? (typeof refusal === "string" && content !== "" && refusal !== "" ? "refusal" : undefined);
    if (param !== undefined) {
      throw new ApiError(400, `messages.${i}.${param} is not supported, and might change the text`, {
        param: `messages.${i}.${param}`,
        code: "unsupported_parameter",
      });
    }
    return {
      ...more,
      // A client sends back what it was given; a template without calls of tools reads the rest of the conversation.
      ...(calls !== undefined && source.includes("tool_calls") ? { tool_calls: calls } : {}),
      role: role === "developer" ? "system" : role,
      content: content === "" && typeof refusal === "string" ? refusal : content,
    } as Message & { role: string };
  });
}
