// A streamed answer: the outputs of one or several requests as server-sent events, sent as their tokens come.
//
// Both endpoints stream by this loop; each gives the form of its choices. The stream ends with `[DONE]` after the last
// output, with an error event when the engine fails, and silently when the client has gone, which frees its places.
import type { ServerResponse } from "node:http";
import type { GenerateRequest } from "@nsa/model";
import { openEvents, sendError } from "./http.ts";
import type { TokenWithLogprob } from "./logprobs.ts";
import { OutputText } from "./output-text.ts";
import type { Listener } from "./scheduler.ts";
import { countUsage, type Service } from "./service.ts";

export interface StreamForm {
  /** Fields of every event. */
  head: object;
  stopStrings: readonly string[];
  /** Whether a last event reports the usage; the others then have `usage: null`. */
  includeUsage: boolean;
  /** Whether tokens without text of their own, such as a part of a character, get an event as well. */
  everyToken: boolean;
  /** A choice that each output begins with, before its first token. */
  opening?(index: number): object;
  /** One choice of an event: new text of output `index`, its tokens, and why it ended, null before the end. */
  choice(index: number, text: string, tokens: readonly TokenWithLogprob[], finish: string | null): object;
}

/** Streams all outputs of the requests, numbered from 0 through all of them; resolves when the stream has ended. */
export function streamOutputs(
  service: Service,
  requests: readonly GenerateRequest[],
  form: StreamForm,
  res: ServerResponse,
  signal: AbortSignal,
): Promise<void> {
  return new Promise((resolve) => {
    const cancels: (() => void)[] = [];
    const end = () => {
      for (const cancel of cancels) cancel();
      resolve();
    };
    const fail = (error: unknown) => {
      sendError(res, error);
      end();
    };
    try {
      const events = new OutputEvents(service, requests, form, res, end);
      let first = 0;
      for (const request of requests) {
        cancels.push(service.scheduler.start(request, { ...events.listener(request, first), onError: fail }));
        first += request.n;
      }
      if (signal.aborted) end();
      else signal.addEventListener("abort", end, { once: true });
    } catch (error) {
      fail(error);
    }
  });
}

/** The events of one stream, with what is counted for its end. */
class OutputEvents {
  private readonly events: ReturnType<typeof openEvents>;
  private unfinished: number;
  private written = 0;

  constructor(
    private readonly service: Service,
    private readonly requests: readonly GenerateRequest[],
    private readonly form: StreamForm,
    res: ServerResponse,
    private readonly onEnd: () => void,
  ) {
    this.events = openEvents(res);
    this.unfinished = requests.reduce((sum, { n }) => sum + n, 0);
    const { opening } = form;
    if (opening) for (let i = 0; i < this.unfinished; i++) this.send([opening(i)]);
  }

  /** Listens to one request, whose first output is number `first`. */
  listener(request: GenerateRequest, first: number) {
    const { form } = this;
    const { tokenizer } = this.service.session;
    const texts = Array.from({ length: request.n }, () => new OutputText(tokenizer, form.stopStrings));
    return {
      onToken: (sample, id, output) => {
        this.written++;
        if (request.stopIds.includes(id)) return;
        const text = texts[sample]!.push(id);
        const t = output.ids.length - 1;
        const token = { id, logp: output.logp[t]!, top: output.top?.[t] ?? null };
        if (text !== "" || form.everyToken) this.send([form.choice(first + sample, text, [token], null)]);
      },
      onEnd: (sample, output) => {
        this.send([form.choice(first + sample, texts[sample]!.end(), [], output.finish)]);
        if (--this.unfinished === 0) this.finish();
      },
    } satisfies Omit<Listener, "onError">;
  }

  private send(choices: object[]): void {
    const usage = this.form.includeUsage ? { usage: null } : {};
    this.events.send({ ...this.form.head, choices, ...usage });
  }

  private finish(): void {
    const read = this.requests.reduce((sum, { prompt }) => sum + prompt.length, 0);
    const usage = countUsage(this.service, read, this.written);
    if (this.form.includeUsage) this.events.send({ ...this.form.head, choices: [], usage });
    this.events.done();
    this.onEnd();
  }
}
