// Sliding windows of a config.json, of all layers or of some ↔ attention kinds of our layers.
//
// transformers: Mistral and Phi-3 have one window in all layers, null for none; Qwen2 and Qwen3 have it in the layers that layer_types names, or
// else in those from max_window_layers on, and only with use_sliding_window; Llama has none. A window counts the query's own token.
import { attentionOf, type ModelConfig } from "../config/schema.ts";
import { type Fields, invalid, refuse } from "./fields.ts";

type Windows = Pick<ModelConfig, "attention"> & Partial<Pick<ModelConfig, "attentionLayers" | "windowSize">>;

const KINDS: Record<string, string> = { full_attention: "full", sliding_attention: "window" };
const DEFAULT_WINDOW = 4096;
/** The first layer with a window, where neither it nor the types of layers are stated. */
const DEFAULT_FIRST = 28;

function layerTypes(hf: Fields, layers: number): string[] | undefined {
  const types = hf.list("layer_types");
  if (!types) return undefined;
  if (types.length !== layers) {
    invalid("layer_types", `it names ${types.length} layers, num_hidden_layers is ${layers}`);
  }
  return types.map((type) => {
    const kind = typeof type === "string" && Object.hasOwn(KINDS, type) ? KINDS[type] : undefined;
    return (
      kind ??
      refuse(
        `layer_types with ${JSON.stringify(type)}`,
        "such a layer is not computed here",
        "import a model without it",
      )
    );
  });
}

/** Kinds of the layers by the file, before it is known whether the window ever ends. */
function kindsBy(hf: Fields, type: string, layers: number): string[] {
  const types = layerTypes(hf, layers);
  const all = (kind: string) => new Array<string>(layers).fill(kind);
  const qwen = type === "qwen2" || type === "qwen3";
  if (qwen) {
    const first = hf.raw.max_window_layers === 0 ? 0 : hf.size("max_window_layers", DEFAULT_FIRST);
    const used = hf.flag("use_sliding_window", false);
    if (!used && types?.includes("window")) {
      invalid("layer_types", "it names sliding_attention, and use_sliding_window is not true");
    }
    return types ?? all("full").map((kind, i) => (used && i >= first ? "window" : kind));
  }
  const stated = hf.has("sliding_window") || (type === "mistral" && hf.raw.sliding_window === undefined);
  const used = hf.flag("use_sliding_window", true) && stated;
  if (type === "llama" && (types?.includes("window") || (used && !types))) {
    refuse(
      types ? "layer_types with sliding_attention" : `sliding_window: ${hf.raw.sliding_window}`,
      "readers disagree on whether a Llama has a window",
      "set it to null, or model_type to mistral where every layer has the window",
    );
  }
  const kinds = types ?? all(used ? "window" : "full");
  if (type !== "llama" && kinds.some((kind) => kind !== (used ? "window" : "full"))) {
    refuse(
      `layer_types of ${type}`,
      "they contradict sliding_window, which holds for all layers",
      "correct config.json",
    );
  }
  return kinds;
}

/** Throws NsaError `hf_unsupported` (exit 4), `hf_config_invalid` (exit 3). */
export function readWindows(hf: Fields, type: string, layers: number, context: number): Windows {
  // A window as long as the context never ends.
  if (hf.has("sliding_window") && hf.size("sliding_window") >= context && !hf.has("layer_types")) {
    return { attention: "full" };
  }
  const kinds = kindsBy(hf, type, layers);
  if (!kinds.includes("window")) return { attention: "full" };
  const windowSize = hf.size("sliding_window", DEFAULT_WINDOW);
  if (windowSize >= context) return { attention: "full" };
  return kinds.includes("full")
    ? { attention: "full", attentionLayers: kinds, windowSize }
    : { attention: "window", windowSize };
}

/** Keys of a Mistral or a Qwen with these windows; none where no layer has one. */
export function writeWindows(c: ModelConfig): Record<string, unknown> {
  const windows = Array.from({ length: c.numLayers }, (_, i) => attentionOf(c, i) === "window");
  if (!windows.includes(true)) return {};
  if (!c.qkNorm && !c.qkvBias) return { sliding_window: c.windowSize };
  return {
    use_sliding_window: true,
    sliding_window: c.windowSize,
    max_window_layers: windows.indexOf(true),
    layer_types: windows.map((window) => (window ? "sliding_attention" : "full_attention")),
  };
}
