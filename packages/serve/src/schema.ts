// Request bodies of /v1/completions and /v1/chat/completions. Unknown fields pass; known ones must be right.
import { z } from "zod";
import { ApiError } from "./http.ts";

/** Clients send null for what they leave out. */
const optional = <T extends z.ZodType>(type: T) => type.nullish().transform((x) => x ?? undefined);

const stops = z.union([z.string().min(1), z.array(z.string().min(1)).max(16)]);
const ids = z.array(z.number().int().min(0)).min(1);

const shared = {
  model: optional(z.string()),
  n: optional(z.number().int().min(1).max(128)),
  temperature: optional(z.number().min(0).max(100)),
  top_p: optional(z.number().gt(0).max(1)),
  top_k: optional(z.number().int().min(-1)),
  min_p: optional(z.number().min(0).max(1)),
  seed: optional(z.number().int()),
  stop: optional(stops),
  stream: optional(z.boolean()),
  stream_options: optional(z.looseObject({ include_usage: optional(z.boolean()) })),
};

/** Fields that would change the text and are not done here: refused unless they say nothing. */
const refused = z.looseObject({
  suffix: optional(z.literal("")),
  presence_penalty: optional(z.literal(0)),
  frequency_penalty: optional(z.literal(0)),
  logit_bias: optional(z.strictObject({})),
  tools: optional(z.array(z.unknown()).max(0)),
  functions: optional(z.array(z.unknown()).max(0)),
  response_format: optional(z.looseObject({ type: z.literal("text") })),
});

export const completionSchema = z.looseObject({
  ...shared,
  prompt: z.union([z.string(), z.array(z.string()).min(1), ids, z.array(ids).min(1)]),
  max_tokens: optional(z.number().int().min(0)),
  logprobs: optional(z.number().int().min(0).max(20)),
  echo: optional(z.boolean()),
  best_of: optional(z.number().int().min(1)),
});

const part = z.looseObject({ type: z.literal("text"), text: z.string() });

export const chatSchema = z.looseObject({
  ...shared,
  messages: z
    .array(
      z.looseObject({
        role: z.enum(["system", "developer", "user", "assistant", "tool"]),
        content: z
          .union([z.string(), z.array(part)])
          .nullish()
          .transform((c) => (typeof c === "string" ? c : (c ?? []).map((p) => p.text).join(""))),
      }),
    )
    .min(1),
  max_tokens: optional(z.number().int().min(1)),
  max_completion_tokens: optional(z.number().int().min(1)),
  logprobs: optional(z.boolean()),
  top_logprobs: optional(z.number().int().min(0).max(20)),
});

export type CompletionBody = z.output<typeof completionSchema>;
export type ChatBody = z.output<typeof chatSchema>;

const nameOf = (path: readonly PropertyKey[]) => path.map(String).join(".");

/** The checked body. Throws ApiError 400 that names the field. */
export function checkBody<T extends z.ZodType>(schema: T, body: unknown): z.output<T> {
  const known = schema.safeParse(body);
  if (!known.success) {
    const { path, message } = known.error.issues[0]!;
    const param = nameOf(path);
    throw new ApiError(400, param === "" ? message : `${param}: ${message}`, {
      param,
      code: "invalid_value",
    });
  }
  const other = refused.safeParse(body);
  if (!other.success) {
    const param = nameOf(other.error.issues[0]!.path.slice(0, 1));
    throw new ApiError(400, `${param} is not supported`, { param, code: "unsupported_parameter" });
  }
  return known.data;
}
