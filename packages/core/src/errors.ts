// The one error type of the house: what happened, why, and how to mend it, with the exit code it maps to.

/** Exit codes of every `nsa` command. */
export const ExitCode = {
  ok: 0,
  bug: 1,
  usage: 2,
  data: 3,
  unavailable: 4,
  diverged: 5,
  interrupted: 130,
} as const;

export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

export interface NsaErrorFields {
  /** Stable machine-readable name, e.g. `config_unknown_key`. */
  code: string;
  /** What happened, with the place (`file:line:column` for configs, record number for data). */
  what: string;
  /** Why it is wrong. */
  why: string;
  /** What the user can do about it. */
  fix: string;
  exitCode: ExitCode;
  cause?: unknown;
}

/** Thrown by every library of the workspace; only the CLI prints it and exits. */
export class NsaError extends Error {
  readonly code: string;
  readonly what: string;
  readonly why: string;
  readonly fix: string;
  readonly exitCode: ExitCode;

  constructor(fields: NsaErrorFields) {
    super(`${fields.what}: ${fields.why}`, { cause: fields.cause });
    this.name = "NsaError";
    this.code = fields.code;
    this.what = fields.what;
    this.why = fields.why;
    this.fix = fields.fix;
    this.exitCode = fields.exitCode;
  }
}
