// The recipe key `environment`, and the environment that it names.
import { availableParallelism } from "node:os";
import { ExitCode, loadModule, memberName, NsaError } from "@nsa/core";
import { z } from "zod";
import type { Environment, EnvironmentDefinition, EnvironmentLimits } from "./definition.ts";
import { environmentKinds, memberOf } from "./registry.ts";

const count = z.number().int().min(1);

export const environmentSchema = z
  .strictObject({
    kind: memberName("environment")
      .default("python")
      .describe(
        "python (programs in pieces, with sympy where it is installed), calculator, lookup (the table of the family links), or the name of a plugin's",
      ),
    file: z
      .string()
      .default("")
      .describe(
        "TypeScript file in place of a kind: `export default {tools, reset(problem, seed), step(state, call)}`; its state is JSON",
      ),
    maxTurns: count.default(4).describe("Calls of tools in one output; one call more ends it"),
    timeoutMs: count.default(5000).describe("Wall-clock time of one call, milliseconds"),
    memoryMb: count.default(512).describe("python: memory of an interpreter, MiB"),
    maxOutputTokens: count
      .default(256)
      .describe(
        "Tokens of one result that the model reads; longer ones are cut. They do not count in max_tokens",
      ),
    unsafeExec: z
      .boolean()
      .default(false)
      .describe("python: run programs with your rights where there is no bubblewrap"),
    parallel: count.optional().describe("Calls that run at once; by default twice the cores"),
  })
  .describe("Tools that the model may call while it answers");

export type EnvironmentConfig = z.output<typeof environmentSchema>;

function invalid(file: string, why: string, cause?: unknown): NsaError {
  return new NsaError({
    code: "environment_file_invalid",
    what: `environment file ${file}`,
    why,
    fix: "export default {tools, reset(problem, seed), step(state, call)}",
    exitCode: ExitCode.usage,
    cause,
  });
}

async function fromFile(file: string): Promise<EnvironmentDefinition> {
  let exported: unknown;
  try {
    const exports = await loadModule(file);
    exported = exports.default ?? exports;
  } catch (cause) {
    throw invalid(file, (cause as Error).message.split("\n")[0]!, cause);
  }
  const found = (exported ?? {}) as Partial<EnvironmentDefinition>;
  if (!Array.isArray(found.tools) || found.tools.some((t) => typeof t?.name !== "string" || !t.parameters))
    throw invalid(file, "its tools are not a list of {name, description, parameters}");
  for (const name of ["reset", "step"] as const)
    if (typeof found[name] !== "function") throw invalid(file, `its default export has no function ${name}`);
  return found as EnvironmentDefinition;
}

/**
 * Opens the environment of a recipe; its caller closes it. Throws NsaError `environment_file_invalid` (exit 2),
 * `registry_unknown`, `sandbox_missing` (exit 4).
 */
export async function openEnvironment(
  config: EnvironmentConfig,
  sandbox: EnvironmentLimits["sandbox"] = {},
): Promise<Environment> {
  const { kind, file, timeoutMs, memoryMb, parallel = 2 * availableParallelism() } = config;
  const unsafeExec = config.unsafeExec || sandbox.unsafeExec;
  const member = file === "" ? environmentKinds.get(kind) : memberOf(file, await fromFile(file));
  return await member.open({ timeoutMs, memoryMb, parallel, sandbox: { ...sandbox, unsafeExec } });
}
