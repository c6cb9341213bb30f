// The tools of a recipe: its environment, and how a checkpoint calls them.
import type { Tokenizer } from "@nsa/data";
import {
  type ChatTemplate,
  chatProtocol,
  type EnvironmentConfig,
  fenceProtocol,
  openEnvironment,
  type ProgramOptions,
  type Tool,
  writesTools,
} from "@nsa/tasks";
import type { ToolUse } from "./driver.ts";

export interface OpenTools extends ToolUse {
  /** The chat template with the tools in its prompts, where it can write them and questions are asked in it. */
  chat: (() => ChatTemplate) | undefined;
  /** Ends what the environment has started. */
  close(): void;
}

/** A request whose outputs also stop where they ask for a result. */
export const withToolStops = <R extends { stopStrings?: readonly string[] }>(
  request: R,
  { protocol }: ToolUse,
): R => ({
  ...request,
  stopStrings: [...(request.stopStrings ?? []), ...protocol.stops],
});

/** The template that describes these tools wherever it is given none. */
function withTools(template: ChatTemplate, tools: readonly Tool[]): ChatTemplate {
  const described = tools.map((tool) => ({ type: "function", function: tool }));
  return {
    ...template,
    render: (messages, generate, given = described) => template.render(messages, generate, given),
  };
}

export interface ToolOptions {
  tokenizer: Tokenizer;
  chat?: (() => ChatTemplate) | undefined;
  /** How programs are locked in. */
  sandbox?: Pick<ProgramOptions, "backend" | "unsafeExec">;
}

/**
 * Opens the environment; its caller closes it. `chat`: the template in which questions are asked; a template that does not know tools, and
 * a recipe without one, get them by fences. Throws as `openEnvironment`.
 */
export async function openTools(
  config: EnvironmentConfig,
  { tokenizer, chat, sandbox }: ToolOptions,
): Promise<OpenTools> {
  const { maxTurns, maxOutputTokens } = config;
  const environment = await openEnvironment(config, sandbox);
  const template = chat?.();
  const inChat = template !== undefined && writesTools(template);
  const described = inChat ? withTools(template, environment.tools) : undefined;
  return {
    environment,
    protocol: inChat ? chatProtocol(template, environment.tools) : fenceProtocol(environment.tools),
    tokenizer,
    maxTurns,
    maxOutputTokens,
    chat: described && (() => described),
    close: () => environment.close(),
  };
}
