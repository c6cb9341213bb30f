// Typed access to the keys of a foreign JSON object, with errors that name the file's key.
import { ExitCode, NsaError } from "@nsa/core";

export type HfConfig = Record<string, unknown>;

/** The setting is valid, and we do not compute it: NsaError `hf_unsupported` (exit 4). */
export function refuse(what: string, why: string, fix: string): never {
  throw new NsaError({ code: "hf_unsupported", what, why, fix, exitCode: ExitCode.unavailable });
}

/** The value cannot be used by anybody: NsaError `hf_config_invalid` (exit 3). */
export function invalid(key: string, why: string): never {
  throw new NsaError({
    code: "hf_config_invalid",
    what: `${key} of config.json`,
    why,
    fix: `correct ${key}, or fetch config.json again`,
    exitCode: ExitCode.data,
  });
}

/** Widths, heads, vocabularies, positions: far above the largest models there are. */
const MAX_SIZE = 2 ** 28;
/** Layers and heads, which are looped over. */
export const MAX_COUNT = 2 ** 12;

const shown = (value: unknown) => (JSON.stringify(value) ?? "undefined").slice(0, 80);

/** Keys of an object; null counts as absent. `place` is put before a key in errors. */
export class Fields {
  constructor(
    readonly raw: HfConfig,
    private readonly place = "",
  ) {}

  name(key: string): string {
    return `${this.place}${key}`;
  }

  has(key: string): boolean {
    return this.raw[key] !== undefined && this.raw[key] !== null;
  }

  /** A finite number above 0, or `otherwise` where the key is absent. Without it, an absent key is an error. */
  positive(key: string, otherwise?: number): number {
    const value = this.has(key) ? this.raw[key] : otherwise;
    if (value === undefined) return invalid(this.name(key), "it is missing, and has no default");
    if (typeof value === "number" && Number.isFinite(value) && value > 0) return value;
    return invalid(this.name(key), `${shown(value)} is no number above 0`);
  }

  /** A whole number of 1 or more, and at most `most`: larger ones would be looped over or allocated before anybody noticed. */
  size(key: string, otherwise?: number, most = MAX_SIZE): number {
    const value = this.positive(key, otherwise);
    if (!Number.isSafeInteger(value)) return invalid(this.name(key), `${value} is no whole number`);
    return value <= most
      ? value
      : invalid(this.name(key), `${value} is more than any model has (at most ${most})`);
  }

  flag(key: string, otherwise: boolean): boolean {
    const value = this.has(key) ? this.raw[key] : otherwise;
    return typeof value === "boolean"
      ? value
      : invalid(this.name(key), `${shown(value)} is neither true nor false`);
  }

  text(key: string): string | undefined {
    const value = this.has(key) ? this.raw[key] : undefined;
    if (value === undefined || typeof value === "string") return value;
    return invalid(this.name(key), `${shown(value)} is no text`);
  }

  object(key: string): HfConfig | undefined {
    const value = this.has(key) ? this.raw[key] : undefined;
    if (value === undefined) return undefined;
    if (typeof value === "object" && !Array.isArray(value)) return value as HfConfig;
    return invalid(this.name(key), `${shown(value)} is no object`);
  }

  list(key: string): unknown[] | undefined {
    const value = this.has(key) ? this.raw[key] : undefined;
    if (value === undefined || Array.isArray(value)) return value;
    return invalid(this.name(key), `${shown(value)} is no list`);
  }

  /** Refuses keys that are in neither list: a value that is not null may change the computation. */
  refuseOthers(known: ReadonlySet<string>, neutral: Record<string, (value: unknown) => boolean>): void {
    for (const [key, value] of Object.entries(this.raw)) {
      if (value === null || known.has(key) || neutral[key]?.(value)) continue;
      refuse(
        `${this.name(key)}: ${shown(value)} in config.json`,
        "it may change what the model computes, and is not computed here",
        "import a model without it; where it changes nothing, take the key out of config.json",
      );
    }
  }
}
