// Files that a checkpoint carries besides its weights, with the chat template that it has learned, so that it is served with it.
import { modelFiles, type Tokenizer } from "@nsa/data";
import type { ChatTemplate } from "@nsa/tasks";

/** The files of `folder` for a checkpoint that comes of it; `chat` takes the place of its own template. */
export function chatFiles(
  folder: string,
  tokenizer: Tokenizer,
  chat: ChatTemplate | undefined,
): Record<string, string> {
  const { "chat_template.jinja": jinja, ...carried } = modelFiles(folder);
  const files = { ...carried, "tokenizer.json": JSON.stringify(tokenizer.json) };
  if (!chat) return { ...files, ...(jinja === undefined ? {} : { "chat_template.jinja": jinja }) };
  const own = JSON.parse(carried["tokenizer_config.json"] ?? "{}");
  const config = JSON.stringify({ ...own, chat_template: chat.source }, null, 2);
  return { ...files, "tokenizer_config.json": `${config}\n` };
}
