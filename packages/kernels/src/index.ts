// Public surface of @nsa/kernels.
export {
  type Collectives,
  type PartOptions,
  type RankGroup,
  shareLengths,
  singleRank,
} from "./comm/collectives.ts";
export { openDeviceCollectives } from "./comm/device-collectives.ts";
export { openRankPipes } from "./comm/pipe-collectives.ts";
export { makeRankPipes } from "./comm/pipes.ts";
export { type DataArray, nativeDir } from "./device/addon.ts";
export { Arena } from "./device/arena.ts";
export { type Ceilings, matmulFlops, measureCeilings } from "./device/ceilings.ts";
export { Device, type DeviceOptions } from "./device/device.ts";
export { type Dtype, dtypeBytes, type FloatDtype, fromBf16, hostArray, toBf16 } from "./device/dtype.ts";
export type { Tenant } from "./device/failure.ts";
export { memoryLimitMb, openDevice } from "./device/open-device.ts";
export { openPlans, savePlans } from "./device/plans.ts";
export { type Owned, Scope } from "./device/scope.ts";
export { type CapturedStep, type DeviceName, type OpArgs, type OpProfile, Tensor } from "./device/tensor.ts";
export type { Adapter, AdapterBlock } from "./ops/adapter.ts";
export {
  type BlockGrid,
  cacheSlot,
  type DecodePlan,
  type DecodeSequence,
  planDecode,
  updatePlan,
} from "./ops/decode-plan.ts";
export { type Divergence, distillHead, type RowMath } from "./ops/distill-head.ts";
export {
  type CompressedGrid,
  type DocumentBucket,
  type DocumentLayout,
  type Documents,
  documentArrays,
  documentsOf,
  layoutDocuments,
  packDocuments,
} from "./ops/documents.ts";
export { fingerprint } from "./ops/fingerprint.ts";
export { type FlashConfig, flashAttention } from "./ops/flash-attention.ts";
export { fusedAttention } from "./ops/fused-attention.ts";
export { embedding, gatherRows, type LinearOptions, linear, repeatRows, scatterRows } from "./ops/linear.ts";
export { type LmHeadOptions, type LmHeadResult, lmHead } from "./ops/lm-head.ts";
export { type Operand, TensorMath } from "./ops/math.ts";
export { rmsNorm } from "./ops/norm.ts";
export {
  type NsaInputs,
  type NsaOptions,
  type NsaResult,
  nsaAttention,
  selectBlocks,
} from "./ops/nsa-attention.ts";
export { compressBlocks, type Phi, type RopeTables } from "./ops/nsa-compress.ts";
export { type NsaConfig, resolveNsaConfig } from "./ops/nsa-config.ts";
export {
  type NsaLayerCache,
  nsaDecode,
  nsaDecodeAttention,
  nsaLayerCache,
} from "./ops/nsa-decode.ts";
export { decodeAttention, decodeFused, writeCache } from "./ops/paged-attention.ts";
export {
  type HeadColumns,
  type RopeScaling,
  rope,
  ropeFrequencies,
  ropeTables,
  splitHeads,
} from "./ops/rope.ts";
export { scalarHead } from "./ops/scalar-head.ts";
export { swigluDown } from "./ops/swiglu.ts";
export { Tape } from "./tape.ts";
