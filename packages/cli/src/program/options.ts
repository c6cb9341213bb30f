// Options that several commands share. Nothing here may load a library: this code runs for `nsa --help`.
import { type Command, InvalidArgumentError, Option } from "commander";

/** A number of at least `low`, any where that is -∞; whole where `integer`. */
function numeric(low: number, integer: boolean) {
  return (text: string) => {
    const value = Number(text);
    if (text.trim() !== "" && value >= low && Number.isFinite(value) && (!integer || Number.isInteger(value)))
      return value;
    throw new InvalidArgumentError(
      `It must be ${integer ? "a whole number" : "a number"}${Number.isFinite(low) ? ` of at least ${low}` : ""}.`,
    );
  };
}

export const wholeFrom = (low: number) => numeric(low, true);
export const numberFrom = (low: number) => numeric(low, false);
export const anyNumber = numeric(Number.NEGATIVE_INFINITY, false);

/** Gathers a repeatable option. */
export const collect = (value: string, all: string[]) => [...all, value];

export const withSet = (command: Command) =>
  command.option(
    "--set <key=value>",
    "override one setting, e.g. --set train.optimizer.lr=3e-4",
    collect,
    [],
  );

export const withPluginFiles = (command: Command) =>
  command.option(
    "--plugin <file>",
    "TypeScript file that adds members by name; may be repeated",
    collect,
    [],
  );

export const withRuns = (command: Command) => command.option("--runs <dir>", "folder of the runs", "runs");

export const withDevice = (command: Command) =>
  command.addOption(
    new Option("--device <name>", "where to compute").choices(["auto", "cpu", "cuda"]).default("auto"),
  );

/** How a long command shows itself. */
export const withOutput = (command: Command) =>
  command
    .option("--plain", "one line per step, no screen")
    .option("--json", "one JSON object per event on stdout");

/** A command line for a sub-command that prints its own exit code. */
export async function exitWith(code: Promise<number>): Promise<void> {
  process.exitCode = await code;
}
