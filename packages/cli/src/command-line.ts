// Runs the command line: prints errors in three lines and turns them into exit codes.
import { buildProgram } from "./program.ts";

// A reader that has seen enough (`nsa runs ls | head`) is no error.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0);
  throw error;
});

buildProgram()
  .parseAsync(process.argv)
  .catch(async (error: unknown) => {
    const { printError } = await import("./print-error.ts");
    process.exitCode = printError(error, process.argv.includes("--debug"));
  });
