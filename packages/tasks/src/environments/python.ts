// The environment `python`: programs in pieces. Names of one call are there for the next one of the same output.
import { openPieces, type Pieces } from "../sandbox/pieces.ts";
import type { Environment, EnvironmentKind, Json, ToolCall, ToolResult } from "./definition.ts";

const OUTPUT_BYTES = 65_536;

/** The seed of `random`, and the pieces that have run. */
interface PythonState {
  readonly [key: string]: Json;
  readonly seed: number;
  readonly pieces: readonly string[];
}

export const PYTHON_TOOL = {
  name: "python",
  description:
    "Runs Python code and returns what it printed. Names that it defines are there in later calls; sympy is there where it is installed.",
  parameters: {
    type: "object" as const,
    properties: { code: { type: "string", description: "Python code that prints its result" } },
    required: ["code"],
  },
};

async function step(pieces: Pieces, state: PythonState, call: ToolCall): Promise<ToolResult> {
  const { code } = call.arguments;
  if (typeof code !== "string") throw new Error("python needs the argument code, a text");
  const { status, output, why } = await pieces.run(state.pieces, code, state.seed);
  // An interpreter that is gone has taken the piece with it: the next call finds what was there before.
  const lives = status === "ok" || status === "error";
  return {
    state: lives ? { ...state, pieces: [...state.pieces, code] } : state,
    output: status === "ok" ? output.trimEnd() : why,
    ...(status === "ok" ? {} : { failed: true }),
  };
}

export const python: EnvironmentKind = {
  name: "python",
  open({ timeoutMs, memoryMb, parallel, sandbox }): Environment {
    const pieces = openPieces({ timeoutMs, memoryMb, outputBytes: OUTPUT_BYTES }, parallel, sandbox);
    return {
      name: "python",
      tools: [PYTHON_TOOL],
      reset: (_, seed): PythonState => ({ seed, pieces: [] }),
      step: (state, call) => step(pieces, state as PythonState, call),
      close: () => pieces.close(),
    };
  },
};
