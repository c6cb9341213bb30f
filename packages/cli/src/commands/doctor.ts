// `nsa doctor`: environment, backends with the reason where one cannot be used, and a self-check against the oracle.
import { describeMachine, NsaError } from "@nsa/core";
import { Device, type DeviceName } from "@nsa/kernels";

function describe(name: DeviceName): string {
  try {
    const device = Device.open(name);
    const text = JSON.stringify(device.info);
    device.close();
    return `ok  ${text}`;
  } catch (error) {
    return `no  ${error instanceof NsaError ? `${error.why}; ${error.fix}` : String(error)}`;
  }
}

/** Largest difference between a CPU matmul and the double oracle. */
function selfCheck(): number {
  const n = 64;
  const x = Float32Array.from({ length: n * n }, (_, i) => Math.sin(i * 0.7));
  const product = (name: DeviceName, dtype: "f32" | "f64") => {
    const device = Device.open(name);
    const [a, c] = [device.from(x, [n, n], dtype), device.zeros([n, n], dtype)];
    const sizes = { m: n, n, k: n, lda: n, ldb: n, ldc: n, trans_a: 0, trans_b: 1, alpha: 1, beta: 0 };
    device.run("gemm", { a, b: a, c, ...sizes });
    const values = c.read();
    device.close();
    return values;
  };
  const [got, want] = [product("cpu", "f32"), product("reference", "f64")];
  return got.reduce((worst, v, i) => Math.max(worst, Math.abs(v - want[i]!)), 0);
}

export async function doctor(): Promise<number> {
  console.log(`machine    ${describeMachine()}`);
  for (const name of ["cpu", "cuda", "reference"] as const)
    console.log(`${name.padEnd(10)} ${describe(name)}`);
  const error = selfCheck();
  const ok = error < 1e-4;
  console.log(
    `self-check ${ok ? "ok" : "FAILED"}  matmul differs from the oracle by ${error.toExponential(1)}`,
  );
  return ok ? 0 : 1;
}
