// Reference policies by the step they were taken at, so that a resumed run finds the one in force.
import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { saveCheckpoint, type Transformer } from "@nsa/model";

export class ReferenceStore {
  constructor(private readonly dir: string) {}

  async save(policy: Transformer, step: number): Promise<void> {
    await saveCheckpoint(this.path(step), { model: policy, step });
  }

  /** The reference in force after a step; none before the first was taken. */
  at(step: number): string | undefined {
    const newest = Math.max(...this.steps().filter((s) => s <= step));
    return Number.isFinite(newest) ? this.path(newest) : undefined;
  }

  /** Removes those that no resume from a checkpoint at `oldest` or later needs. */
  prune(oldest: number): void {
    const inForce = Math.max(...this.steps().filter((s) => s <= oldest));
    for (const step of this.steps())
      if (step < inForce) rmSync(this.path(step), { recursive: true, force: true });
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
