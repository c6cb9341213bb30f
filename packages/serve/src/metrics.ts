// Figures of the server in Prometheus' text format (version 0.0.4): requests by path and status, time, tokens, queue and batch.

/** Upper bounds of the time of a request, seconds. */
const BOUNDS = [0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60];

export class ServerMetrics {
  /** Requests that have ended, by path and status. */
  private readonly requests = new Map<string, number>();
  private readonly times = new Array<number>(BOUNDS.length).fill(0);
  private timeSum = 0;
  private timeCount = 0;
  promptTokens = 0;
  generatedTokens = 0;
  /** Clients that did not take their answers in time, or left. */
  abandoned = 0;

  /** Counts a request that took so many seconds. */
  ended(path: string, status: number, seconds: number): void {
    const labels = `path="${path}",status="${status}"`;
    this.requests.set(labels, (this.requests.get(labels) ?? 0) + 1);
    this.timeSum += seconds;
    this.timeCount++;
    for (const [i, bound] of BOUNDS.entries()) if (seconds <= bound) this.times[i]!++;
  }

  /** The text; `running` and `waiting` are outputs in the batch and before it. */
  render({ running, waiting }: { running: number; waiting: number }): string {
    const lines: string[] = [];
    const family = (name: string, type: string, help: string, rows: readonly [string, number][]) => {
      lines.push(`# HELP nsa_${name} ${help}`, `# TYPE nsa_${name} ${type}`);
      for (const [suffix, value] of rows) lines.push(`nsa_${name}${suffix} ${value}`);
    };
    family(
      "requests_total",
      "counter",
      "Requests that have ended.",
      [...this.requests].map(([labels, n]) => [`{${labels}}`, n]),
    );
    const errors = [...this.requests].filter(([labels]) => /status="5/.test(labels));
    family("errors_total", "counter", "Requests that ended with a status of 500 or more.", [
      ["", errors.reduce((sum, [, n]) => sum + n, 0)],
    ]);
    family("abandoned_total", "counter", "Requests whose client left or did not take the answer.", [
      ["", this.abandoned],
    ]);
    family("request_seconds", "histogram", "Time from the first byte of a request to its end.", [
      ...BOUNDS.map((bound, i): [string, number] => [`_bucket{le="${bound}"}`, this.times[i]!]),
      ['_bucket{le="+Inf"}', this.timeCount],
      ["_sum", this.timeSum],
      ["_count", this.timeCount],
    ]);
    family("prompt_tokens_total", "counter", "Tokens of prompts.", [["", this.promptTokens]]);
    family("generated_tokens_total", "counter", "Tokens generated.", [["", this.generatedTokens]]);
    family("outputs_running", "gauge", "Outputs decoded together.", [["", running]]);
    family("outputs_waiting", "gauge", "Outputs that wait for a place.", [["", waiting]]);
    family("memory_resident_bytes", "gauge", "Memory of the process.", [["", process.memoryUsage.rss()]]);
    return `${lines.join("\n")}\n`;
  }
}
