// The fast backend that a test runs on: the CPU, or what NSA_TEST_DEVICE names (`pnpm test:gpu` sets cuda).
import { Device, type DeviceName, type DeviceOptions } from "../src/index.ts";

export const backendName = (process.env.NSA_TEST_DEVICE ?? "cpu") as DeviceName;

/** True where the promise under test is the CPU's alone (thread counts, batch invariance). */
export const isCpu = backendName === "cpu";

export const openBackend = (options: DeviceOptions = {}): Device => Device.open(backendName, options);
