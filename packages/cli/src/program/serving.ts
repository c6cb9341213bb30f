// `nsa serve`, `nsa chat`.
import type { Command } from "commander";
import { collect, numberFrom, wholeFrom, withDevice, withPluginFiles, withRuns } from "./options.ts";

const withTemplate = (command: Command) =>
  command.option(
    "--template <name>",
    "chatml, plain, r1_zero, a .jinja file or a folder; by default the checkpoint's own, else chatml",
  );

export function registerServing(program: Command): void {
  withPluginFiles(withRuns(withTemplate(withDevice(program.command("serve <checkpoint>")))))
    .description(
      "an OpenAI-compatible server of a checkpoint, or of a run's newest one: chat and plain completions",
    )
    .option("--host <address>", "where to listen", "127.0.0.1")
    .option("--port <n>", "0 = any free one", wholeFrom(0), 8000)
    .option("--name <model>", "name in /v1/models; by default the run's")
    .option(
      "--api-key <key>",
      "key that callers must have; better set by NSA_API_KEY, which no list of processes shows",
    )
    .option("--without-key", "listen on an address other than loopback without a key")
    .option("--allow-host <name>", "name by which callers without a key may reach the server", collect, [])
    .option(
      "--allow-origin <origin>",
      "origin of pages that may ask, e.g. http://localhost:3000",
      collect,
      [],
    )
    .option(
      "--drain-seconds <n>",
      "seconds that running requests have to end after SIGTERM",
      wholeFrom(0),
      30,
    )
    .option("--max-sequences <n>", "outputs decoded at once", wholeFrom(1), 64)
    .option("--cache-tokens <n>", "tokens the KV cache holds", wholeFrom(16), 32_768)
    .action(async (checkpoint: string, options: { runs: string; plugin: string[] }) => {
      const { openedCheckpoint } = await import("../plugins/load.ts");
      const { serve } = await import("../commands/serve.ts");
      await serve(await openedCheckpoint(checkpoint, options), options as never);
    });

  withPluginFiles(withRuns(withTemplate(withDevice(program.command("chat <checkpoint>")))))
    .description(
      "talk to a checkpoint, or to a run's newest one; /reset, /system <text> and /quit are commands",
    )
    .option("--system <text>", "what the conversation begins with")
    .option("--max-tokens <n>", "longest answer, tokens", wholeFrom(1), 512)
    .option("--temperature <t>", "0 = greedy", numberFrom(0), 0.7)
    .option("--top-p <p>", "nucleus mass", numberFrom(0), 0.95)
    .option("--seed <n>", "of sampling", wholeFrom(0), 0)
    .action(async (checkpoint: string, options: { runs: string; plugin: string[] }) => {
      const { openedCheckpoint } = await import("../plugins/load.ts");
      const { chat } = await import("../commands/chat.ts");
      await chat(await openedCheckpoint(checkpoint, options), options as never);
    });
}
