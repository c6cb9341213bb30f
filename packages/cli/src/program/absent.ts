// Commands that are named but not built: they say so and exit with code 4.
import type { Command } from "commander";

const ABSENT = [
  ["serve", "an OpenAI-compatible server"],
  ["chat", "talk to a checkpoint"],
] as const;

export function registerAbsent(program: Command): void {
  for (const [name, about] of ABSENT) {
    program
      .command(name)
      .description(`${about} (not in this version)`)
      .allowUnknownOption()
      .argument("[args...]")
      .action(() => {
        console.error(
          `error: nsa ${name}\n  why: it is not built in this version\n  fix: see README.md for what there is`,
        );
        process.exitCode = 4;
      });
  }
}
