// Calls of functions in answers, in the API's form: read by the chat template's spelling from a finished answer.
import { randomUUID } from "node:crypto";
import { chatCalls, type Tool, writesTools } from "@nsa/tasks";
import { ApiError } from "./http.ts";
import type { ChatBody } from "./schema.ts";
import type { Service } from "./service.ts";

/** An answer as a message, and why it ended. */
export interface ChatAnswer {
  message: { role: "assistant"; content: string | null; refusal: null; tool_calls?: object[] };
  finish: string;
}

/** The functions that the answer may call; none with tool_choice none. Throws ApiError 400 where the template writes none. */
export function toolsOf(
  { session }: Service,
  { tools, tool_choice: choice, parallel_tool_calls: several }: ChatBody,
): Tool[] {
  if (choice && choice !== "none" && choice !== "auto")
    throw new ApiError(400, "tool_choice other than none and auto is not supported: the model decides", {
      param: "tool_choice",
      code: "unsupported_parameter",
    });
  if (!tools || tools.length === 0 || choice === "none") return [];
  if (!writesTools(session.template))
    throw new ApiError(400, "tools is not supported by the chat template of this model", {
      param: "tools",
      code: "unsupported_parameter",
    });
  if (several === false)
    throw new ApiError(400, "parallel_tool_calls: false is not supported: the model decides", {
      param: "parallel_tool_calls",
      code: "unsupported_parameter",
    });
  return tools.map(({ function: f }) => ({
    ...f,
    description: f.description ?? "",
    parameters: (f.parameters ?? { type: "object", properties: {} }) as Tool["parameters"],
  }));
}

/** The tools as a template reads them. */
export const describedTools = (tools: readonly Tool[]): object[] =>
  tools.map((tool) => ({ type: "function", function: tool }));

/** The answer that a finished text is; calls that cannot be read stay text. */
export function answerOf(text: string, finish: string, tools: readonly Tool[]): ChatAnswer {
  const calls = tools.length > 0 ? chatCalls(text, tools) : undefined;
  if (!calls || "fault" in calls)
    return { message: { role: "assistant", content: text, refusal: null }, finish };
  const marks = ["<tool_call>", "[TOOL_CALLS]"].map((mark) => text.indexOf(mark)).filter((at) => at >= 0);
  const before = marks.length > 0 ? text.slice(0, Math.min(...marks)).trim() : "";
  const made = calls.map((call) => ({
    id: `call_${randomUUID().replaceAll("-", "").slice(0, 24)}`,
    type: "function",
    function: { name: call.name, arguments: JSON.stringify(call.arguments) },
  }));
  const message = {
    role: "assistant",
    content: before === "" ? null : before,
    refusal: null,
    tool_calls: made,
  } as const;
  return { message, finish: "tool_calls" };
}
