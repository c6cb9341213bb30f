// The peak rate of a card by the name its driver gives.
import { expect, test } from "vitest";
import { peakTflops } from "../src/peak.ts";

test.each([
  ["NVIDIA H100 80GB HBM3", "bf16", 989],
  ["NVIDIA H100 PCIe", "bf16", 756],
  ["NVIDIA H200", "bf16", 989],
  ["NVIDIA A100-SXM4-80GB", "fp32", 19.5],
] as const)("%s_in_%s_has_its_data_sheet_rate", (name, dtype, want) => {
  expect(peakTflops({ device: "cuda", name }, dtype)).toBe(want);
});

test("an_unknown_card_and_a_cpu_have_none", () => {
  expect(peakTflops({ device: "cuda", name: "Some New Card" }, "bf16")).toBeUndefined();
  expect(peakTflops({ device: "cpu", isa: "avx2", threads: 2 }, "fp32")).toBeUndefined();
});
