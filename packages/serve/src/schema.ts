// Request bodies of /v1/completions and /v1/chat/completions. Known fields must be right; others are refused unless
// they say nothing.
import { firstComplaint } from "@nsa/core";
import { z } from "zod";
import { ApiError } from "./http.ts";
import { messageSchema } from "./messages.ts";

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
  seed: optional(
    z.number().refine((x) => Number.isInteger(x) && Math.abs(x) <= 2 ** 64, "a whole number of 64 bits"),
  ),
  stop: optional(stops),
  stream: optional(z.boolean()),
  stream_options: optional(
    z.strictObject({ include_usage: optional(z.boolean()), include_obfuscation: optional(z.boolean()) }),
  ),
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
  tool_choice: optional(z.enum(["none", "auto"])),
  function_call: optional(z.enum(["none", "auto"])),
  modalities: optional(z.array(z.literal("text"))),
  // Of other servers with this API.
  repetition_penalty: optional(z.literal(1)),
  length_penalty: optional(z.literal(1)),
  stop_token_ids: optional(z.array(z.unknown()).max(0)),
  bad_words: optional(z.array(z.unknown()).max(0)),
  min_tokens: optional(z.literal(0)),
  ignore_eos: optional(z.literal(false)),
  use_beam_search: optional(z.literal(false)),
  num_beams: optional(z.literal(1)),
  no_repeat_ngram_size: optional(z.literal(0)),
  typical_p: optional(z.literal(1)),
  tfs_z: optional(z.literal(1)),
  top_a: optional(z.literal(0)),
  mirostat: optional(z.literal(0)),
  mirostat_mode: optional(z.literal(0)),
  dry_multiplier: optional(z.literal(0)),
  xtc_probability: optional(z.literal(0)),
  echo: optional(z.literal(false)),
  best_of: optional(z.literal(1)),
  documents: optional(z.array(z.unknown()).max(0)),
  skip_special_tokens: optional(z.literal(true)),
  include_stop_str_in_output: optional(z.literal(false)),
  add_generation_prompt: optional(z.literal(true)),
  continue_final_message: optional(z.literal(false)),
  chat_template_kwargs: optional(z.strictObject({})),
});

/** Fields that change nothing of the text. */
const HARMLESS = new Set([
  ..."user metadata store service_tier safety_identifier prompt_cache_key prompt_cache_retention".split(" "),
  ..."prediction priority cache_prompt request_id spaces_between_special_tokens".split(" "),
]);

export const completionSchema = z.looseObject({
  ...shared,
  prompt: z.union([z.string(), z.array(z.string()).min(1), ids, z.array(ids).min(1)]),
  max_tokens: optional(z.number().int().min(0)),
  logprobs: optional(z.number().int().min(0).max(20)),
  echo: optional(z.boolean()),
  best_of: optional(z.number().int().min(1)),
});

const tool = z.looseObject({
  type: z.literal("function"),
  function: z.looseObject({
    name: z.string().min(1),
    description: optional(z.string()),
    parameters: optional(z.looseObject({})),
    // Nothing holds the model to the schema.
    strict: optional(z.literal(false)),
  }),
});

export const chatSchema = z.looseObject({
  ...shared,
  tools: optional(z.array(tool)),
  // A call that is demanded is refused by name: nothing makes the model write one.
  parallel_tool_calls: optional(z.boolean()),
  tool_choice: optional(z.union([z.enum(["none", "auto", "required"]), z.looseObject({ type: z.string() })])),
  messages: z.array(messageSchema).min(1),
  max_tokens: optional(z.number().int().min(1)),
  max_completion_tokens: optional(z.number().int().min(1)),
  logprobs: optional(z.boolean()),
  top_logprobs: optional(z.number().int().min(0).max(20)),
});

export type CompletionBody = z.output<typeof completionSchema>;
export type ChatBody = z.output<typeof chatSchema>;

const nameOf = (path: readonly PropertyKey[]) => path.map(String).join(".");

/** The checked body. Throws ApiError 400 that names the field. */
export function checkBody<T extends z.ZodObject>(schema: T, body: unknown): z.output<T> {
  const known = schema.safeParse(body);
  if (!known.success) {
    const { path: param, why } = firstComplaint(known.error, body);
    throw new ApiError(400, param === "" ? why : `${param}: ${why}`, {
      param,
      code: "invalid_value",
    });
  }
  // What a schema has itself, it accepts.
  const others = Object.entries(body as object).filter(([key]) => !(key in schema.shape));
  const other = refused.safeParse(Object.fromEntries(others));
  if (!other.success) {
    const param = nameOf(other.error.issues[0]!.path.slice(0, 1));
    throw new ApiError(400, `${param} is not supported`, { param, code: "unsupported_parameter" });
  }
  const fields = new Set([...Object.keys(schema.shape), ...Object.keys(refused.shape), ...HARMLESS]);
  const unknown = Object.entries(body as object).find(([key, value]) => value !== null && !fields.has(key));
  if (unknown) {
    const [param] = unknown;
    throw new ApiError(400, `${param} is not supported, and might change the text`, {
      param,
      code: "unsupported_parameter",
    });
  }
  return known.data as z.output<T>;
}
