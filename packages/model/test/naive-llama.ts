// A Llama / Qwen forward in plain loops from Hugging Face names and config: shares no code with the package.

type Config = Record<string, number | boolean | string>;
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

/** rotate_half as transformers writes it: x·cos + [−x2, x1]·sin. */
function rotate(x: number[], position: number, theta: number): number[] {
  const half = x.length / 2;
  return x.map((v, i) => {
    const angle = position * theta ** ((-2 * (i % half)) / x.length);
    const other = i < half ? -x[i + half]! : x[i - half]!;
    return v * Math.cos(angle) + other * Math.sin(angle);
  });
}

/** Log-probabilities of every next token, [T][V]. */
export function naiveLlama(hf: Config, weight: Weights, tokens: number[]): number[][] {
  const [D, H, G] = [hf.hidden_size, hf.num_attention_heads, hf.num_key_value_heads] as number[];
  const K = hf.head_dim as number;
  const eps = hf.rms_norm_eps as number;
  const embed = weight("model.embed_tokens.weight");
  let xs = tokens.map((id) => Array.from({ length: D! }, (_, c) => embed[id * D! + c]!));
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
      rotate(
        hf.model_type === "qwen3" ? norm(x, w(`self_attn.${kind}_norm.weight`), eps) : x,
        t,
        hf.rope_theta as number,
      );
    const q = normed.map((x, t) => heads(project(x, "q_proj"), H!).map((h) => turned(h, t, "q")));
    const k = normed.map((x, t) => heads(project(x, "k_proj"), G!).map((h) => turned(h, t, "k")));
    const v = normed.map((x) => heads(project(x, "v_proj"), G!));
    xs = xs.map((x, t) => {
      const o = q[t]!.flatMap((qh, h) => {
        const g = Math.floor(h / (H! / G!));
        const scores = Array.from({ length: t + 1 }, (_, j) =>
          Math.exp(qh.reduce((s, a, i) => s + a * k[j]![g]![i]!, 0) / Math.sqrt(K)),
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
