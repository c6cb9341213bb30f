// A 64-bit fingerprint of a tensor's bits, computed where the tensor lies: nothing but the result is copied to the host.
import type { Tensor } from "../device/tensor.ts";

/** 16 hexadecimal digits: the same for the same bits, another one where any bit, or the order of elements, differs. Waits for the device. */
export function fingerprint(x: Tensor): string {
  const { device } = x;
  using _ = device.scope();
  const y = device.empty([2], "i32");
  device.run("fingerprint", { x, y });
  const [low, high] = y.read();
  return [high!, low!].map((word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
}
