// A Llama / Qwen forward in plain loops from Hugging Face names and config: shares no code with the package.

// biome-ignore lint/suspicious/noExplicitAny: a config.json as it is.
type Config = Record<string, any>;
type Weights = (name: string) => ArrayLike<number>;

function matvec(w: ArrayLike<number>, x: number[], bias?: ArrayLike<number>): number[] {
  const rows = w.length / x.length;
  return Array.from({ length: rows }, (_, r) =>
    x.reduce((s, v, c) => s + v * w[r * x.length + c]!, bias?.[r] ?? 0),
  );
}

function norm(x: number[], w: ArrayLike<number>, eps: number): number[] {
  const scale = 1 / Math.sqrt(x.reduce((s, v) => s + v * v, 0) / x.length + eps);
  return x.map((v, i) => v * scale * w[i]!);
}

/** Radians a position of each pair of channels, and the factor on cosine and sine, from either version's keys. */
function angles(hf: Config): { speeds: number[]; factor: number } {
  const rope: Config = { ...hf.rope_parameters, ...hf.rope_scaling };
  const dim = Math.floor(hf.head_dim * (rope.partial_rotary_factor ?? hf.partial_rotary_factor ?? 1));
  const theta: number = rope.rope_theta ?? hf.rope_theta ?? 10000;
  const speeds = Array.from({ length: dim / 2 }, (_, j) => Math.exp((-2 * j * Math.log(theta)) / dim));
  const type = rope.rope_type ?? rope.type ?? "default";
  if (type === "default") return { speeds, factor: 1 };
  if (type === "linear") return { speeds: speeds.map((s) => s / rope.factor), factor: 1 };
  const context: number = rope.original_max_position_embeddings ?? hf.max_position_embeddings;
  const stretch: number = rope.factor ?? hf.max_position_embeddings / context;
  if (type === "llama3") {
    const stretched = speeds.map((s) => {
      const wave = (2 * Math.PI) / s;
      if (wave < context / rope.high_freq_factor) return s;
      if (wave > context / rope.low_freq_factor) return s / stretch;
      const part = (context / wave - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor);
      return ((1 - part) * s) / stretch + part * s;
    });
    return { speeds: stretched, factor: 1 };
  }
  const at = (turns: number) => (dim * Math.log(context / (turns * 2 * Math.PI))) / (2 * Math.log(theta));
  const whole = rope.truncate !== false;
  const low = Math.max(whole ? Math.floor(at(rope.beta_fast ?? 32)) : at(rope.beta_fast ?? 32), 0);
  let high = Math.min(whole ? Math.ceil(at(rope.beta_slow ?? 1)) : at(rope.beta_slow ?? 1), dim - 1);
  if (low === high) high += 0.001;
  const scale = (m: number) => (stretch <= 1 ? 1 : 0.1 * m * Math.log(stretch) + 1);
  const weighed =
    rope.mscale && rope.mscale_all_dim ? scale(rope.mscale) / scale(rope.mscale_all_dim) : scale(1);
  return {
    speeds: speeds.map((s, j) => {
      const ramp = Math.min(1, Math.max(0, (j - low) / (high - low)));
      return (s / stretch) * ramp + s * (1 - ramp);
    }),
    factor: rope.attention_factor ?? weighed,
  };
}

/** rotate_half as transformers writes it: x·cos + [−x2, x1]·sin; channels behind the turned ones stay. */
function rotate(x: number[], position: number, { speeds, factor }: ReturnType<typeof angles>): number[] {
  const half = speeds.length;
  return x.map((v, i) => {
    if (i >= 2 * half) return v;
    const angle = position * speeds[i % half]!;
    const other = i < half ? -x[i + half]! : x[i - half]!;
    return (v * Math.cos(angle) + other * Math.sin(angle)) * factor;
  });
}

/** Tokens that a query of the layer sees, its own included. */
function windowOf(hf: Config, layer: number): number {
  if (hf.layer_types?.[layer] === "full_attention" || hf.use_sliding_window === false) return Infinity;
  if (!hf.layer_types && hf.use_sliding_window && layer < hf.max_window_layers) return Infinity;
  return hf.sliding_window ?? Infinity;
}

/** Log-probabilities of every next token, [T][V]. */
export function naiveLlama(hf: Config, weight: Weights, tokens: number[]): number[][] {
  const [D, H, G] = [hf.hidden_size, hf.num_attention_heads, hf.num_key_value_heads] as [
    number,
    number,
    number,
  ];
  const turn = angles(hf);
  const K = hf.head_dim as number;
  const eps = hf.rms_norm_eps as number;
  const embed = weight("model.embed_tokens.weight");
  let xs = tokens.map((id) => Array.from({ length: D }, (_, c) => embed[id * D + c]!));
  const heads = (x: number[], n: number) => Array.from({ length: n }, (_, h) => x.slice(h * K, (h + 1) * K));
  for (let l = 0; l < (hf.num_hidden_layers as number); l++) {
    const w = (name: string) => weight(`model.layers.${l}.${name}`);
    const project = (x: number[], name: string) =>
      matvec(
        w(`self_attn.${name}.weight`),
        x,
        hf.model_type === "qwen2" ? w(`self_attn.${name}.bias`) : undefined,
      );
    const normed = xs.map((x) => norm(x, w("input_layernorm.weight"), eps));
    const turned = (x: number[], t: number, kind: string) =>
      rotate(hf.model_type === "qwen3" ? norm(x, w(`self_attn.${kind}_norm.weight`), eps) : x, t, turn);
    const q = normed.map((x, t) => heads(project(x, "q_proj"), H).map((h) => turned(h, t, "q")));
    const k = normed.map((x, t) => heads(project(x, "k_proj"), G).map((h) => turned(h, t, "k")));
    const v = normed.map((x) => heads(project(x, "v_proj"), G));
    xs = xs.map((x, t) => {
      const o = q[t]!.flatMap((qh, h) => {
        const g = Math.floor(h / (H / G));
        const scores = Array.from({ length: t + 1 }, (_, j) =>
          j > t - windowOf(hf, l)
            ? Math.exp(qh.reduce((s, a, i) => s + a * k[j]![g]![i]!, 0) / Math.sqrt(K))
            : 0,
        );
        const sum = scores.reduce((a, b) => a + b, 0);
        return qh.map((_, i) => scores.reduce((s, p, j) => s + (p / sum) * v[j]![g]![i]!, 0));
      });
      const mid = matvec(w("self_attn.o_proj.weight"), o).map((y, i) => y + x[i]!);
      const n = norm(mid, w("post_attention_layernorm.weight"), eps);
      const up = matvec(w("mlp.up_proj.weight"), n);
      const hidden = matvec(w("mlp.gate_proj.weight"), n).map((z, i) => (z / (1 + Math.exp(-z))) * up[i]!);
      return matvec(w("mlp.down_proj.weight"), hidden).map((y, i) => y + mid[i]!);
    });
  }
  const head = hf.tie_word_embeddings ? embed : weight("lm_head.weight");
  return xs.map((x) => {
    const z = matvec(head, norm(x, weight("model.norm.weight"), eps));
    const lse = Math.log(z.reduce((s, y) => s + Math.exp(y), 0));
    return z.map((y) => y - lse);
  });
}
