// Prompt templates of questions: R1-Zero's verbatim, a plain one, the checkpoint's chat template, or the user's own.
import { NsaError } from "@nsa/core";
import type { ChatTemplate } from "../chat/template.ts";

/** The template for DeepSeek-R1-Zero (arXiv 2501.12948, table 1); `prompt` is replaced by the question. */
const R1_ZERO =
  "A conversation between User and Assistant. The user asks a question, and the Assistant solves it. " +
  "The assistant first thinks about the reasoning process in the mind and then provides the user with the answer. " +
  "The reasoning process and answer are enclosed within <think> ... </think> and <answer> ... </answer> tags, respectively, i.e., " +
  "<think> reasoning process here </think> <answer> answer here </answer>. User: {question}. Assistant:";

const named: Record<string, string> = { r1_zero: R1_ZERO, plain: "Q: {question}\nA:" };

const CHAT = /^chat(?::\s*|$)/;

/** Whether questions are asked as messages through the checkpoint's chat template: `chat`, or `chat: a text with {question}`. */
export const asksInChat = (template: string): boolean => CHAT.test(template);

/**
 * Prompt of a question; `chat` gives the template for {@link asksInChat}. Throws NsaError `template_invalid` (exit 2) for a text
 * without {question}, and `chat_refused` (exit 2).
 */
export function renderPrompt(template: string, question: string, chat?: () => ChatTemplate): string {
  if (chat && asksInChat(template)) {
    const text = template.replace(CHAT, "");
    const content = text === "" ? question : renderPrompt(text, question);
    return chat().render([{ role: "user", content }], true);
  }
  const text = named[template] ?? template;
  if (!text.includes("{question}")) {
    throw new NsaError({
      code: "template_invalid",
      what: `template "${template}"`,
      why: "it is none of r1_zero, plain and chat, and has no {question}",
      fix: "put {question} where the question goes",
      exitCode: 2,
    });
  }
  return text.replace("{question}", () => question);
}
