// Registries: the members of one kind (attention, optimizer, loss …) by name. A capability is one file that exports a member; recipes
// name it, and nothing else asks which member it is.
import { z } from "zod";
import { didYouMean } from "./config/did-you-mean.ts";
import { ExitCode, NsaError } from "./errors.ts";

const registries = new Map<string, Registry<{ name: string }>>();

export class Registry<T extends { readonly name: string }> {
  private readonly members = new Map<string, T>();

  /** `kind` is the word for a member in messages, e.g. "attention". */
  constructor(readonly kind: string) {
    registries.set(kind, this as unknown as Registry<{ name: string }>);
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
    throw new NsaError({
      code: "registry_unknown",
      what: `${this.kind} "${name}" is not available`,
      why: this.explain(name),
      fix: "choose one of them, or load the plugin that defines it with `plugins: [file.ts]`",
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
