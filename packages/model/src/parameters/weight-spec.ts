// Named tensors of a checkpoint, grouped into the weights that ops take; where each lies in the flat buffers is the layout's.

/** A named tensor of a checkpoint: rows of a (possibly fused) weight. */
export interface PartSpec {
  /** Hugging Face name, e.g. `model.layers.0.self_attn.q_proj.weight`. */
  name: string;
  shape: number[];
  /** Elements from the start of the weight. */
  offset: number;
}

/** One weight as the ops use it; a fused projection holds several named parts below one another. */
export interface WeightSpec {
  key: string;
  shape: number[];
  parts: PartSpec[];
  /** Weight decay applies: matrices only. */
  decay: boolean;
  init: { kind: "normal"; std: number } | { kind: "constant"; value: number };
  /** Computed in the model's dtype; vectors stay fp32. */
  matrix: boolean;
  /** Not every token is multiplied by it: its FLOPs are counted by its kind's `work`. */
  ownWork?: true;
  /** Applied by the layer's `linear`, so that its projections can have adapters. */
  linear?: true;
  /** Rows are looked up or chosen one by one (embedding, output head): optimizers of whole matrices leave it to AdamW. */
  table?: true;
  /** Elements from the start of the flat buffers; a multiple of 16. */
  offset: number;
  /** Held in bf16 alone, without a master; `offset` is then in the bf16 buffer. */
  lowOnly?: boolean;
}

/** A weight matrix of named parts below one another: [sum of rows, cols], normal with `std`, with weight decay. */
export function matrix(
  key: string,
  parts: [name: string, rows: number][],
  cols: number,
  std: number,
): WeightSpec {
  let rows = 0;
  const specs = parts.map(([name, n]) => {
    const part = { name, shape: [n, cols], offset: rows * cols };
    rows += n;
    return part;
  });
  const init = { kind: "normal", std } as const;
  return { key, shape: [rows, cols], parts: specs, decay: true, init, matrix: true, offset: 0 };
}

/** The weight as one that a layer's `linear` applies. */
export const asLinear = (w: WeightSpec): WeightSpec => ({ ...w, linear: true });

/** A vector of named parts behind one another, all `value` at first, without weight decay; stays fp32. */
export function vector(key: string, parts: [name: string, length: number][], value: number): WeightSpec {
  let length = 0;
  const specs = parts.map(([name, n]) => {
    const part = { name, shape: [n], offset: length };
    length += n;
    return part;
  });
  const init = { kind: "constant", value } as const;
  return { key, shape: [length], parts: specs, decay: false, init, matrix: false, offset: 0 };
}
