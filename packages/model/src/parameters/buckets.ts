// Gradients in buckets, in the order in which a backward completes them, so that ranks can add a bucket up while the backward runs on.
//
// The backward visits the segments of a model in reverse: head and final norm, layers from the last to the first, embedding. The tape
// has a mark before each segment; when the backward comes back to it, no op that follows writes gradients of that segment. A bucket
// is complete with the last of its segments. Captured steps run on the device without the host: their buckets are all complete
// after the launch, in the same order.
import { type Layout, paddedSize } from "./layout.ts";

export interface GradientBucket {
  /** 0 is complete first. */
  index: number;
  /** Where its gradients lie in the flat buffer of gradients, without overlap. */
  ranges: { from: number; to: number }[];
  /** Elements, padding included. */
  numel: number;
  /** Keys of its weights. */
  weights: string[];
  /** The segment (as in `Layout.segments`) whose backward completes it. */
  segment: number;
}

/** Called once a step for each bucket, in order, when what writes its gradients has been given to the device. */
export type BucketReady = (bucket: GradientBucket) => void;

/** Bytes from which on a bucket is closed: large enough that the latency of a transfer does not count (PyTorch's DDP: 25 MiB). */
export const BUCKET_BYTES = 25 * 2 ** 20;

function joined(ranges: { from: number; to: number }[]): { from: number; to: number }[] {
  const out: { from: number; to: number }[] = [];
  for (const range of ranges.sort((a, b) => a.from - b.from)) {
    const last = out.at(-1);
    if (last?.to === range.from) last.to = range.to;
    else out.push({ ...range });
  }
  return out;
}

/** Divides the trained weights into buckets of whole segments; `elements`: a bucket is closed once it has as many. */
export function gradientBuckets(layout: Layout, elements: number): GradientBucket[] {
  const trained = new Set(layout.groups.flatMap((g) => (g.trainable ? g.weights : [])));
  const buckets: GradientBucket[] = [];
  let open: GradientBucket | undefined;
  for (let segment = layout.segments.length - 1; segment >= 0; segment--) {
    for (const w of layout.segments[segment]!.filter((x) => trained.has(x))) {
      open ??= { index: buckets.length, ranges: [], numel: 0, weights: [], segment };
      open.ranges.push({ from: w.offset, to: w.offset + paddedSize(w) });
      open.numel += paddedSize(w);
      open.weights.push(w.key);
      open.segment = segment;
    }
    if (open && (open.numel >= elements || segment === 0)) {
      open.ranges = joined(open.ranges);
      buckets.push(open);
      open = undefined;
    }
  }
  if (open) buckets.push({ ...open, ranges: joined(open.ranges) });
  return buckets;
}

/** Reports the buckets of one backward as its segments are done. */
export class BackwardProgress {
  private next = 0;

  constructor(
    private readonly buckets: readonly GradientBucket[],
    private readonly ready: BucketReady,
  ) {}

  /** The backward has left this segment; segments come in descending order. */
  leave(segment: number): void {
    for (let b = this.buckets[this.next]; b && b.segment >= segment; b = this.buckets[this.next]) {
      this.next++;
      this.ready(b);
    }
  }

  /** The backward has ended. */
  finish(): void {
    this.leave(0);
  }
}
