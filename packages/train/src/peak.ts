// Peak arithmetic rates of known cards, so that a run can say which share of them it uses.

interface Peak {
  card: RegExp;
  /** Dense TFLOP/s by storage type: bf16 on tensor cores, fp32 on ordinary ones (vendors' data sheets). */
  bf16: number;
  fp32: number;
}

/** The first that fits counts: variants come before their family. */
const PEAKS: readonly Peak[] = [
  { card: /H100 PCIe/, bf16: 756, fp32: 51 },
  { card: /H100 NVL/, bf16: 835, fp32: 60 },
  { card: /H100|H200|GH200/, bf16: 989, fp32: 67 },
  { card: /A100|A800/, bf16: 312, fp32: 19.5 },
  { card: /L40S/, bf16: 362, fp32: 91.6 },
  { card: /RTX 4090/, bf16: 165, fp32: 82.6 },
  { card: /RTX 3090/, bf16: 71, fp32: 35.6 },
];

/**
 * Peak rate of a device in TFLOP/s.
 * @param info what the backend says of itself; its `name` decides
 * @returns undefined for a card that is not known, and for CPUs
 */
export function peakTflops(
  info: Readonly<Record<string, string | number>>,
  dtype: "fp32" | "bf16",
): number | undefined {
  return PEAKS.find(({ card }) => card.test(String(info.name ?? "")))?.[dtype];
}
