// What an op costs by its sizes: floating-point operations and bytes that must at least move.
//
// Only profiles ask for it: attention reads the documents' borders from the device.
import { dtypeBytes } from "./dtype.ts";
import type { OpArgs, OpCost, Tensor } from "./tensor.ts";

const tensorsOf = (args: OpArgs) => Object.values(args).filter((v): v is Tensor => typeof v === "object");
const bytesOf = (t: Tensor) => t.numel * dtypeBytes[t.dtype];
const number = (args: OpArgs, name: string) => Number(args[name] ?? 0);

/** Visible (query, key) pairs of flash attention over the documents. */
function flashPairs(args: OpArgs): number {
  const [cuQ, cuK] = [(args.cu_q as Tensor).read(), (args.cu_k as Tensor).read()];
  const [block, stride, window] = ["block_size", "stride", "window"].map((name) => number(args, name)) as [
    number,
    number,
    number,
  ];
  let pairs = 0;
  for (let i = 0; i < number(args, "n_docs"); i++) {
    const [queries, keys] = [cuQ[i + 1]! - cuQ[i]!, cuK[i + 1]! - cuK[i]!];
    for (let t = 0; t < queries; t++) {
      const visible = Math.min(keys, Math.max(0, Math.floor((t - block + 1) / stride) + 1));
      pairs += window > 0 ? Math.min(window, visible) : visible;
    }
  }
  return pairs;
}

/** Pairs of the selected branch: at most `num_selected` blocks of each query's past. */
function selectedPairs(args: OpArgs): number {
  const cu = (args.cu_seqlens as Tensor).read();
  const most = number(args, "num_selected") * number(args, "selection_block_size");
  let pairs = 0;
  for (let i = 0; i < number(args, "n_docs"); i++)
    for (let t = 0; t < cu[i + 1]! - cu[i]!; t++) pairs += Math.min(most, t + 1);
  return pairs;
}

/** Pairs of a query and a compressed key that it sees. */
function comparedPairs(args: OpArgs): number {
  const borders = { cu_q: args.cu_seqlens, cu_k: args.cu_blocks, window: 0 };
  return flashPairs({ ...args, ...borders });
}

/** FLOPs of a pair in all query heads, forward. */
const perPair = (args: OpArgs) => 2 * number(args, "hq") * (number(args, "dim_k") + number(args, "dim_v"));

/** q, k, v and o once; a backward reads and writes them and their gradients. */
function attentionBytes(args: OpArgs, tokens: number, keys: number): number {
  const width = dtypeBytes[(args.q as Tensor).dtype];
  const [hq, hkv, dk, dv] = ["hq", "hkv", "dim_k", "dim_v"].map((name) => number(args, name)) as number[];
  return width * (tokens * hq! + keys * hkv!) * (dk! + dv!);
}

/** FLOPs (a multiply-add as 2) and bytes of one call. Ops without a formula count as traffic over all their tensors. */
export function costOf(op: string, args: OpArgs): OpCost {
  const [n, d, v] = ["n", "d", "v"].map((name) => number(args, name)) as [number, number, number];
  const all = tensorsOf(args).reduce((sum, t) => sum + bytesOf(t), 0);
  // Logits, the gradient of h and that of w, where it has one: each a product of n·d·v.
  const product = 2 * n * d * v;
  const dw = args.dw ? 1 : 0;
  switch (op) {
    case "gemm":
      return { flops: 2 * number(args, "m") * n * number(args, "k"), bytes: all };
    case "lm_head_fwd":
      return { flops: (args.dlogp ? 2 + dw : 1) * product, bytes: all };
    case "lm_head_bwd":
      return { flops: ((args.logits ? 1 : 2) + dw) * product, bytes: all };
    case "flash_fwd":
    case "flash_bwd": {
      const [tq, tk] = [number(args, "tq"), number(args, "tk")];
      const forward = flashPairs(args) * perPair(args);
      const bytes = attentionBytes(args, tq, tk);
      return op === "flash_fwd" ? { flops: forward, bytes } : { flops: 2.5 * forward, bytes: 2 * bytes };
    }
    case "nsa_selected_fwd":
    case "nsa_selected_bwd": {
      const tokens = number(args, "tokens");
      const forward = selectedPairs(args) * perPair(args);
      const bytes = attentionBytes(args, tokens, tokens);
      return op === "nsa_selected_fwd"
        ? { flops: forward, bytes }
        : { flops: 2.5 * forward, bytes: 2 * bytes };
    }
    case "nsa_select":
      return { flops: 2 * comparedPairs(args) * number(args, "hq") * number(args, "dim_k"), bytes: all };
    case "gather_rows":
    case "scatter_rows": {
      const t = (op === "gather_rows" ? args.y : args.x) as Tensor;
      return { flops: 0, bytes: 2 * bytesOf(t) };
    }
    case "embedding_bwd":
      return { flops: 0, bytes: 2 * bytesOf(args.dy as Tensor) };
    default:
      return { flops: 0, bytes: all };
  }
}
