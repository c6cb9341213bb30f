// `nsa chat`: a conversation in the terminal, or line by line from a pipe.
import { createInterface, type Interface } from "node:readline";
import { NsaError } from "@nsa/core";
import { OutputText, openServingSession, Scheduler, type ServingSession } from "@nsa/serve";
import { type ChatMessage, splitStops } from "@nsa/tasks";

interface ChatOptions {
  device: string;
  template?: string;
  system?: string;
  maxTokens: number;
  temperature: number;
  topP: number;
  seed: number;
}

const HELP = "/reset forgets the conversation, /system <text> begins a new one with it, /quit leaves";

class Conversation {
  messages: ChatMessage[] = [];
  private answers = 0;

  constructor(
    private readonly session: ServingSession,
    private readonly scheduler: Scheduler,
    private readonly options: ChatOptions,
  ) {
    this.reset(options.system);
  }

  reset(system?: string): void {
    this.messages = system ? [{ role: "system", content: system }] : [];
  }

  /** Writes the answer as it grows; an aborted one stays as far as it came. Throws what the engine refuses with. */
  async answer(question: string, write: (text: string) => void, signal: AbortSignal): Promise<void> {
    const { template, tokenizer, model } = this.session;
    const messages = [...this.messages, { role: "user", content: question }];
    const prompt = tokenizer.encode(template.render(messages, true));
    const { stopIds, stopStrings } = splitStops(tokenizer, template.stop);
    const text = new OutputText(tokenizer, stopStrings);
    const { maxTokens, temperature, topP, seed } = this.options;
    const room = Math.max(1, model.config.maxSeqLen - prompt.length);
    await new Promise<void>((resolve, reject) => {
      const sampling = { temperature, topP, minP: 0, topK: 0 };
      const id = this.answers++;
      const length = Math.min(maxTokens, room);
      const cancel = this.scheduler.start(
        { prompt, n: 1, maxTokens: length, sampling, seed, id, stopIds, stopStrings },
        {
          onToken: (_sample, token) => stopIds.includes(token) || write(text.push(token)),
          onEnd: () => resolve(),
          onError: reject,
        },
      );
      const stop = () => {
        cancel();
        resolve();
      };
      signal.addEventListener("abort", stop, { once: true });
    });
    write(text.end());
    this.messages = [...messages, { role: "assistant", content: text.text }];
  }
}

/** Does a line that begins with `/`; true when it was `/quit`. */
function obey(line: string, conversation: Conversation): boolean {
  const [, word, rest] = /^\/(\w*)\s*(.*)$/s.exec(line)!;
  if (word === "quit" || word === "exit") return true;
  if (word === "reset") conversation.reset();
  else if (word === "system" && rest !== "") conversation.reset(rest);
  else console.error(HELP);
  return false;
}

async function converse(lines: Interface, conversation: Conversation, prompts: boolean): Promise<void> {
  let answering: AbortController | undefined;
  // Ctrl-C ends an answer, and the conversation when there is none.
  lines.on("SIGINT", () => (answering ? answering.abort() : lines.close()));
  const ask = () => {
    if (prompts) lines.prompt();
  };
  ask();
  for await (const line of lines) {
    if (line.startsWith("/")) {
      if (obey(line, conversation)) break;
    } else if (line.trim() !== "") {
      answering = new AbortController();
      try {
        await conversation.answer(line, (text) => process.stdout.write(text), answering.signal);
        process.stdout.write("\n");
      } catch (error) {
        // At a terminal a question that does not fit ends only itself.
        if (!(prompts && error instanceof NsaError)) throw error;
        console.error(`${error.what}: ${error.why}; /reset begins anew`);
      } finally {
        answering = undefined;
      }
    }
    ask();
  }
}

export async function chat(checkpoint: string, o: ChatOptions): Promise<void> {
  const session = await openServingSession(checkpoint, o);
  try {
    const { maxSeqLen } = session.model.config;
    const scheduler = new Scheduler(session, {
      maxSequences: 1,
      cacheTokens: maxSeqLen,
      prefillTokens: maxSeqLen,
    });
    try {
      const terminal = Boolean(process.stdin.isTTY && process.stdout.isTTY);
      const lines = createInterface({
        input: process.stdin,
        output: terminal ? process.stdout : undefined,
        prompt: "> ",
      });
      if (terminal) console.error(HELP);
      await converse(lines, new Conversation(session, scheduler, o), terminal);
      lines.close();
    } finally {
      scheduler[Symbol.dispose]();
    }
  } finally {
    session[Symbol.dispose]();
  }
}
