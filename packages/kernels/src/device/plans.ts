// How matmuls are done on a GPU, kept with the run: with the same plan file a resumed run has the same bits.
//
// The default is the library's first heuristic, which the same library gives again. `--tune` times several algorithms and
// keeps the fastest; the choice then depends on the day, so it is written down and later runs and resumes read it.
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { atomicWriteFile, ExitCode, NsaError, type StageContext } from "@nsa/core";
import { z } from "zod";
import type { Device } from "./device.ts";

const FILE = "matmul-plans.json";

const fileSchema = z.strictObject({ gpu: z.string(), library: z.string(), plans: z.string() });

type Place = Pick<StageContext, "runDir" | "plans" | "log">;

const identity = (device: Device) => ({
  gpu: String(device.info.name ?? device.name),
  library: String(device.info.gemm ?? "own kernels"),
});

function refuse(path: string, why: string): NsaError {
  return new NsaError({
    code: "plans_mismatch",
    what: `the matmul plans ${path} cannot be used`,
    why,
    fix: "make new ones with --tune, or remove the file: sums are then rounded in another order",
    exitCode: ExitCode.data,
  });
}

function read(path: string, device: Device): string {
  const file = fileSchema.safeParse(readJson(path));
  if (!file.success) throw refuse(path, "it is not a file that --tune has written");
  const here = identity(device);
  const { gpu, library, plans } = file.data;
  if (gpu !== here.gpu || library !== here.library)
    throw refuse(path, `it was made on ${gpu} with ${library}; this is ${here.gpu} with ${here.library}`);
  return plans;
}

function readJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch (cause) {
    throw refuse(path, (cause as Error).message);
  }
}

/** Takes over the plans of the run folder, or those of the file that --plans names; starts tuning where that was asked for. */
export function openPlans(device: Device, { runDir, plans, log }: Place): void {
  const own = join(runDir, FILE);
  const path = existsSync(own) ? own : plans?.from;
  if (path !== undefined) {
    device.usePlans(read(path, device));
    log(`matmuls as in ${path}`);
  }
  if (!plans?.tune) return;
  if (device.name === "cuda") device.tune();
  else log(`nothing to tune on ${device.name}: it has one way to multiply`, "warn");
}

/** Writes the plans of a tuned run beside it, and their hash into env.json. Call it before each checkpoint. */
export function savePlans(device: Device, { runDir, plans }: Place): void {
  const path = join(runDir, FILE);
  if (!plans && !existsSync(path)) return;
  const text = device.matmulPlans;
  if (text === "") return;
  const body = `${JSON.stringify({ ...identity(device), plans: text }, null, 2)}\n`;
  if (existsSync(path) && readFileSync(path, "utf8") === body) return;
  atomicWriteFile(path, body);
  const environment = join(runDir, "env.json");
  if (!existsSync(environment)) return;
  const sha256 = createHash("sha256").update(body).digest("hex");
  const known = JSON.parse(readFileSync(environment, "utf8")) as object;
  atomicWriteFile(
    environment,
    `${JSON.stringify({ ...known, matmul_plans: { file: FILE, sha256 } }, null, 2)}\n`,
  );
}
