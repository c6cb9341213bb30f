// NCCL without its headers: dlopened, with the few declarations that sums and copies between processes need.
#pragma once
#include <cuda_runtime.h>

#include <cstdint>
#include <string>

#include "nsa/abi.h"

namespace nsa::cuda {

struct Nccl;

// An NsaStatus, and why it is not NSA_OK.
struct NcclResult {
  int status = NSA_OK;
  std::string why;
};
// A null handle is opened by the first call that needs it; NSA_UNSUPPORTED where there is no NCCL.
NcclResult nccl_id(Nccl*& nccl, void* id);
NcclResult nccl_join(Nccl*& nccl, const void* id, int64_t rank, int64_t world);
NcclResult nccl_run(Nccl* nccl, const NsaComm& call, cudaStream_t stream);
void nccl_close(Nccl* nccl);

}  // namespace nsa::cuda
