// Settings of low-rank adapters (LoRA, arXiv 2106.09685), and which rank and scale a projection gets.
//
// A target names a linear layer by its own name or the end of its path (`q_proj`, `mlp.gate_proj`), as PEFT's target_modules do, with `*`
// for any text; `all-linear` names every one. NSA's projections have names of their own: k_proj_cmp, v_proj_slc, self_attn.gate_proj.
import { z } from "zod";

const rank = z.number().int().min(1);
const alpha = z.number().positive();

const target = z.union([
  z.string().min(1),
  z.strictObject({
    name: z.string().min(1).describe("Linear layers, as in a target without settings"),
    rank: rank.optional().describe("Their rank, in place of `rank`"),
    alpha: alpha.optional().describe("Their α, in place of `alpha`"),
  }),
]);

export const ALL_LINEAR = "all-linear";

export const loraSchema = z.strictObject({
  rank: rank.default(8).describe("r: rows of A and columns of B"),
  alpha: alpha.default(16).describe("α: the product B·A is scaled by α/r"),
  targets: z
    .array(target)
    .min(1)
    .default([ALL_LINEAR])
    .describe(
      "Linear layers by their names or the ends of their paths, `*` for any text: q_proj, mlp.gate_proj, k_proj*; all-linear names every one; {name, rank, alpha} sets others for some. The first that names a layer has it",
    ),
  scaling: z
    .enum(["standard", "rslora"])
    .default("standard")
    .describe("standard: α/r; rslora: α/√r, so that larger ranks learn as fast (arXiv 2312.03732)"),
});

export type LoraConfig = z.output<typeof loraSchema>;

/** The adapter of one linear layer. */
export interface AdapterSize {
  rank: number;
  alpha: number;
  /** Factor on B·A. */
  scale: number;
}

export const targetName = (t: LoraConfig["targets"][number]) => (typeof t === "string" ? t : t.name);

/** Whether a target names the module at this path: `model.layers.0.self_attn.q_proj`. */
export function matchesTarget(pattern: string, path: string): boolean {
  if (pattern === ALL_LINEAR) return true;
  const text = pattern
    .split("*")
    .map((part) => part.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&"))
    .join(".*");
  return new RegExp(`(^|\\.)${text}$`).test(path);
}

/** Rank and scale of a module's adapter; undefined where it has none. */
export function adapterSize(lora: LoraConfig, path: string): AdapterSize | undefined {
  const found = lora.targets.find((t) => matchesTarget(targetName(t), path));
  if (found === undefined) return undefined;
  const own: { rank?: number | undefined; alpha?: number | undefined } =
    typeof found === "string" ? {} : found;
  const r = own.rank ?? lora.rank;
  const a = own.alpha ?? lora.alpha;
  return { rank: r, alpha: a, scale: a / (lora.scaling === "rslora" ? Math.sqrt(r) : r) };
}
