// The tools of a recipe, called as the checkpoint's questions are asked.
import type { Tokenizer } from "@nsa/data";
import { type OpenTools, openTools } from "@nsa/eval";
import { asksInChat, type EnvironmentConfig } from "@nsa/tasks";
import { chatOf } from "./chat.ts";
import type { RlTask } from "./config.ts";

interface ToolRecipe {
  environment?: EnvironmentConfig | undefined;
  task: RlTask;
  init: { checkpoint: string };
}

/** Undefined where the recipe has no environment; its caller closes what is opened. Throws as `openTools`. */
export async function openToolsOf(
  { environment, task, init }: ToolRecipe,
  tokenizer: Tokenizer,
): Promise<OpenTools | undefined> {
  if (!environment) return undefined;
  const chat = asksInChat(task.template) ? chatOf(init.checkpoint) : undefined;
  return await openTools(environment, { tokenizer, chat });
}
