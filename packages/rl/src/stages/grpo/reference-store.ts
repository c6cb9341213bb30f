// Reference policies by the step they were taken at, so that a resumed run finds the one in force.
import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { ExitCode, NsaError } from "@nsa/core";
import { saveCheckpoint, type Transformer } from "@nsa/model";

export class ReferenceStore {
  constructor(private readonly dir: string) {}

  async save(policy: Transformer, step: number): Promise<void> {
    await saveCheckpoint(this.path(step), { model: policy, step });
  }

  /**
   * The reference in force after a step when one is taken every so many (0: never); none before the first was taken.
   * Throws NsaError `reference_missing` (exit 3) where it should be there.
   */
  at(step: number, every: number): string | undefined {
    const taken = every > 0 ? step - (step % every) : 0;
    if (taken === 0) return undefined;
    if (this.steps().includes(taken)) return this.path(taken);
    throw new NsaError({
      code: "reference_missing",
      what: `no reference policy of step ${taken} in ${this.dir}`,
      why: `algorithm.reference_every is ${every}, so the run held on to it after step ${step}`,
      fix: "put the folder back, or resume from a checkpoint of before that step by its path",
      exitCode: ExitCode.data,
    });
  }

  /** Removes those that no resume from one of the checkpoints needs: before the newest step all but the references in force at one. */
  prune(checkpoints: readonly number[]): void {
    const steps = this.steps();
    const inForce = new Set(checkpoints.map((at) => Math.max(...steps.filter((s) => s <= at))));
    const newest = Math.max(...checkpoints);
    for (const step of steps)
      if (step < newest && !inForce.has(step)) rmSync(this.path(step), { recursive: true, force: true });
  }

  private path(step: number): string {
    return join(this.dir, `step-${String(step).padStart(6, "0")}`);
  }

  private steps(): number[] {
    if (!existsSync(this.dir)) return [];
    return readdirSync(this.dir)
      .filter((name) => /^step-\d+$/.test(name) && existsSync(join(this.dir, name, "state.json")))
      .map((name) => Number(name.slice(5)));
  }
}
