// The schema of a transformer's architecture, for recipes and checkpoints. Names of attention kinds are those registered.
import { memberName } from "@nsa/core";
import { z } from "zod";
import { loraSchema } from "../adapter/config.ts";

const size = z.number().int().min(1);

const ropeScaling = z.discriminatedUnion("type", [
  z.strictObject({
    type: z.literal("linear").describe("Position interpolation"),
    factor: z.number().positive().describe("Positions are divided by it"),
  }),
  z.strictObject({
    type: z.literal("llama3").describe("Llama-3 frequency bands"),
    factor: z.number().positive().describe("Stretch of the low frequencies"),
    lowFreqFactor: z
      .number()
      .positive()
      .default(1)
      .describe("Waves turning less often are stretched in full"),
    highFreqFactor: z.number().positive().default(4).describe("Waves turning more often stay as they are"),
    originalMaxPositionEmbeddings: size.describe("Context the weights were trained on, tokens"),
  }),
  z.strictObject({
    type: z.literal("yarn").describe("YaRN (arXiv 2309.00071)"),
    factor: z.number().positive().describe("Context stretch"),
    originalMaxPositionEmbeddings: size.describe("Context the weights were trained on, tokens"),
    betaFast: z.number().positive().default(32).describe("Turns above which a wave is left alone"),
    betaSlow: z.number().positive().default(1).describe("Turns below which a wave is interpolated in full"),
    attentionFactor: z
      .number()
      .positive()
      .optional()
      .describe("Factor on cos and sin; default 0.1·ln(factor)+1"),
    truncate: z.boolean().optional().describe("Round the ramp's ends to whole channels; default true"),
  }),
]);

const attentionKind = memberName("attention");

export const modelConfigSchema = z.strictObject({
  vocabSize: z
    .number()
    .int()
    .min(0)
    .default(0)
    .describe("Rows of the embedding; 0 takes the tokenizer's size"),
  dModel: size.default(256).describe("Width of the residual stream, channels"),
  numLayers: size.default(4).describe("Transformer layers"),
  numHeads: size.default(4).describe("Query heads"),
  numKvHeads: size.default(1).describe("KV heads; query heads are grouped over them (GQA)"),
  headDim: size.optional().describe("Channels of a query or key head; default d_model / num_heads"),
  valueHeadDim: size
    .optional()
    .describe("Channels of a value head; default head_dim (the NSA paper: 192 and 128)"),
  mlp: memberName("mlp").default("swiglu").describe("Kind of the MLP of every layer"),
  dFf: size.default(704).describe("Hidden channels of the SwiGLU MLP"),
  attention: attentionKind
    .default("nsa")
    .describe("nsa: arXiv 2502.11089; full: causal; window: sliding window"),
  attentionLayers: z.array(attentionKind).optional().describe("Kind of each layer, when they differ"),
  blockSize: size.default(32).describe("NSA l: tokens of a compressed block"),
  stride: size
    .default(16)
    .describe("NSA d: tokens between starts of compressed blocks; divides both block sizes"),
  selectionBlockSize: size.default(64).describe("NSA l': tokens of a selection block"),
  numSelectedBlocks: size.default(16).describe("NSA n: blocks read per query, the forced ones included"),
  numInitialBlocks: z.number().int().min(0).default(1).describe("Forced blocks at a document's start"),
  numLocalBlocks: size.default(2).describe("Forced blocks ending at the query's own"),
  windowSize: size
    .default(512)
    .describe("NSA w and the window of `window` layers, tokens, the query's included"),
  compress: z.enum(["mlp", "weighted", "mean"]).default("mlp").describe("φ of NSA eq. 7"),
  compressedRope: z.enum(["block_start", "none"]).default("block_start").describe("Rotation of φ_k's output"),
  maxSeqLen: size.default(4096).describe("Longest document, tokens"),
  ropeTheta: z.number().positive().default(10000).describe("Base of the rotary frequencies"),
  ropeScaling: ropeScaling.optional().describe("Stretch of the rotary frequencies for longer contexts"),
  rotaryDim: size
    .optional()
    .describe("Channels of a query or key head that turn, the first ones; default head_dim"),
  qkNorm: z.boolean().default(false).describe("RMSNorm on query and key heads (Qwen3)"),
  qkvBias: z.boolean().default(false).describe("Bias on query, key and value projections (Qwen2)"),
  head: memberName("head")
    .default("lm")
    .describe("Output head. lm: the next token; scalar: one number a position; lm_scalar: both"),
  tieEmbeddings: z.boolean().default(true).describe("The output head is the embedding"),
  normEps: z.number().positive().default(1e-5).describe("ε of RMSNorm"),
  initStd: z.number().positive().default(0.02).describe("Standard deviation of the initial matrices"),
  dtype: z.enum(["fp32", "bf16"]).default("fp32").describe("Storage of activations and computed weights"),
  lora: loraSchema.optional().describe("Low-rank adapters beside frozen weights"),
});

export type ModelConfigInput = z.input<typeof modelConfigSchema>;

/** A checked architecture with its derived sizes filled in. */
export type ModelConfig = z.output<typeof modelConfigSchema> & { headDim: number; valueHeadDim: number };

export function attentionOf(config: ModelConfig, layer: number): string {
  return config.attentionLayers?.[layer] ?? config.attention;
}
