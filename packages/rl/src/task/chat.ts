// Questions asked as messages: the checkpoint's chat template, and its ends as stops of the outputs.
import { asksInChat, type ChatTemplate, chatTemplateOf } from "@nsa/tasks";
import type { RlTask } from "./config.ts";

/** The template of a checkpoint, read when the first question asks for it. */
export function chatOf(checkpoint: string): () => ChatTemplate {
  let template: ChatTemplate | undefined;
  return () => {
    template ??= chatTemplateOf(checkpoint);
    return template;
  };
}

/** Stops of outputs, those of the chat template among them where questions are asked in it. */
export function withChatStops<S extends { stop: string[] }>(
  task: RlTask,
  sampling: S,
  chat: () => ChatTemplate,
): S {
  if (!asksInChat(task.template)) return sampling;
  return { ...sampling, stop: [...new Set([...sampling.stop, ...chat().stop])] };
}
