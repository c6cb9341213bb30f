// Public surface of @nsa/kernels.
export { type DataArray, nativeDir } from "./device/addon.ts";
export { Device, type DeviceName, type DeviceOptions, type OpArgs } from "./device/device.ts";
export { type Dtype, dtypeBytes, type FloatDtype, fromBf16, hostArray, toBf16 } from "./device/dtype.ts";
export type { Scope } from "./device/scope.ts";
export { Tensor } from "./device/tensor.ts";
export { Tape } from "./tape.ts";
