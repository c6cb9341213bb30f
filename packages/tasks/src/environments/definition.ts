// The contract of an environment: what a model can do between the tokens of an output. A problem begins in the state that `reset` gives;
// each call of a tool leads to another state and to a text that the model reads.

import type { Problem } from "../families/definition.ts";
import type { ProgramOptions } from "../sandbox/limits.ts";

export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

/** A function that the model may call, as chat templates and the OpenAI API describe it. */
export interface Tool {
  name: string;
  description: string;
  /** JSON Schema of the arguments: an object. */
  parameters: { type: "object"; properties: Readonly<Record<string, Json>>; required?: readonly string[] };
}

export interface ToolCall {
  name: string;
  arguments: Readonly<Record<string, unknown>>;
}

export interface ToolResult<S extends Json = Json> {
  state: S;
  /** What the model reads. */
  output: string;
  /** Ends the output. */
  done?: boolean;
  /** The call failed; the model reads why in `output`. */
  failed?: boolean;
}

/** An environment as a file or plugin defines it. Its state is JSON; `step` must give the same for the same state and call. */
export interface EnvironmentDefinition<S extends Json = Json> {
  tools: readonly Tool[];
  reset(problem: Problem, seed: number): S | Promise<S>;
  /** An error that it throws ends the call, and its message is what the model reads. */
  step(state: S, call: ToolCall): ToolResult<S> | Promise<ToolResult<S>>;
}

/** An environment that was opened for a run. */
export interface Environment extends EnvironmentDefinition {
  readonly name: string;
  /** Ends what it has started. */
  close(): void;
}

/** What a recipe sets of an environment beside its kind. */
export interface EnvironmentLimits {
  /** Wall-clock time of one call, milliseconds. */
  timeoutMs: number;
  /** Memory of a program that a call runs, MiB. */
  memoryMb: number;
  /** Calls that run at once. */
  parallel: number;
  /** How programs are locked in. */
  sandbox?: Pick<ProgramOptions, "backend" | "unsafeExec">;
}

/** A member of the registry. */
export interface EnvironmentKind {
  readonly name: string;
  /** Throws NsaError (exit 4) where this machine cannot run it. */
  open(limits: EnvironmentLimits): Environment | Promise<Environment>;
}

/** The name of the first tool and the argument that a block of text is, where it has one required text alone. */
export function blockTool(
  tools: readonly Tool[],
  name: string,
): { tool: Tool; argument: string } | undefined {
  const tool = tools.find((t) => t.name === name);
  const required = tool?.parameters.required ?? Object.keys(tool?.parameters.properties ?? {});
  return tool && required.length === 1 ? { tool, argument: required[0]! } : undefined;
}
