// Registries: the members of one kind (attention, optimizer, loss …) by name. A capability is one file that exports a member; recipes
// name it, and nothing else asks which member it is.
import { z } from "zod";
import { didYouMean } from "./config/did-you-mean.ts";
import { ExitCode, NsaError } from "./errors.ts";

const registries = new Map<string, Registry<{ name: string }>>();

export interface RegistryOptions<T> {
  /** What a definition from outside the sources must have besides its name, by `typeof`. */
  needs?: Partial<Record<keyof T & string, "function" | "object" | "string" | "boolean">>;
  /** Makes a member of a definition from outside the sources. */
  adopt?: (definition: T) => T;
}

export class Registry<T extends { readonly name: string }> {
  private readonly members = new Map<string, T>();

  /** `kind` is the word for a member in recipes, plugins and messages, e.g. "attention". */
  constructor(
    readonly kind: string,
    private readonly options: RegistryOptions<T> = {},
  ) {
    registries.set(kind, this as unknown as Registry<{ name: string }>);
  }

  /**
   * Adds the definition of a plugin, which nothing has type-checked.
   * Throws NsaError `registry_member_incomplete`, `registry_name_taken` (exit 2).
   */
  adopt(definition: T): void {
    for (const [key, type] of Object.entries(this.options.needs ?? {})) {
      const found = typeof (definition as Record<string, unknown>)[key];
      if (found === type) continue;
      throw new NsaError({
        code: "registry_member_incomplete",
        what: `${this.kind} "${definition.name}" lacks \`${key}\``,
        why:
          found === "undefined"
            ? `a member of this kind has a ${type} there`
            : `it is a ${found}, not a ${type}`,
        fix: "complete the definition; its type says what each part does",
        exitCode: ExitCode.usage,
      });
    }
    this.register(this.options.adopt?.(definition) ?? definition);
  }

  /** Adds members. Throws NsaError `registry_name_taken` (exit 2) when another member has the name. */
  register(...members: readonly T[]): this {
    for (const member of members) {
      const before = this.members.get(member.name);
      if (before !== undefined && before !== member) {
        throw new NsaError({
          code: "registry_name_taken",
          what: `${this.kind} "${member.name}" is defined twice`,
          why: "a member of this name exists already",
          fix: "give the new one another name",
          exitCode: ExitCode.usage,
        });
      }
      this.members.set(member.name, member);
    }
    return this;
  }

  has(name: string): boolean {
    return this.members.has(name);
  }

  /** Throws NsaError `registry_unknown` (exit 4): e.g. a checkpoint whose plugin is not loaded. */
  get(name: string): T {
    const member = this.members.get(name);
    if (member) return member;
    const near = didYouMean(name, this.names);
    throw new NsaError({
      code: "registry_unknown",
      what: `${this.kind} "${name}" is not available`,
      why: `there are ${this.names.join(", ")}`,
      fix: `${near ? `did you mean ${near}? If not, ` : "choose one of them, or "}load the plugin that defines it with \`plugins: [file.ts]\``,
      exitCode: ExitCode.unavailable,
    });
  }

  /** Names in the order of registration. */
  get names(): string[] {
    return [...this.members.keys()];
  }

  /** What there is instead of `name`. */
  explain(name: string): string {
    const near = didYouMean(name, this.names);
    return `there are ${this.names.join(", ")}${near ? `; did you mean ${near}?` : ""}`;
  }
}

/** The registry of this kind; undefined while its package is not loaded. */
export const registryOf = (kind: string) => registries.get(kind);

/** Names of the registry of this kind; empty while none exists. */
export const registeredNames = (kind: string): string[] => registries.get(kind)?.names ?? [];

/**
 * The schema of a setting that names a member. Names are compared when a recipe is read, so members that plugins have registered by
 * then count; `default` may come from outside the registry's own package.
 */
export const memberName = (kind: string) =>
  z
    .string()
    .refine((name) => registries.get(kind)?.has(name) ?? false, {
      error: (issue) => registries.get(kind)?.explain(String(issue.input)) ?? `no ${kind} is registered`,
    })
    .meta({ registry: kind });
