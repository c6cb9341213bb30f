// Tests that need what is not everywhere (Slurm, the shared data, one backend): skipped with a reason that `npm test` prints.
import { test } from "vitest";

declare module "vitest" {
  interface TaskMeta {
    /** Why the test is skipped. */
    needs?: string;
  }
}

type Body<T extends readonly unknown[]> = (...args: T) => unknown;

/** `test` where `ok`; else a `test` that skips and says why. */
export function needs(ok: boolean, why: string) {
  const options = ok ? {} : { skip: true, meta: { needs: why } };
  const one = (name: string, body: Body<[]>, timeout?: number) =>
    test(name, timeout === undefined ? options : { ...options, timeout }, async () => void (await body()));
  const each =
    <T extends readonly unknown[]>(cases: readonly T[]) =>
    (name: string, body: Body<T>, timeout?: number) =>
      test.each(cases.map((args) => [...args]))(
        name,
        timeout === undefined ? options : { ...options, timeout },
        async (...args) => void (await body(...(args as unknown as T))),
      );
  return Object.assign(one, { each });
}
