"""Causal SDPA with cuDNN: median ms of forward and of forward + backward, L2 flushed. sdpa.py SHAPES LENGTHS RUNS prints JSON."""
import json
import sys

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel


def measure(heads, kv_heads, dim, length, runs):
    def normal(h):
        return torch.randn(1, h, length, dim, device="cuda", dtype=torch.bfloat16, requires_grad=True)

    q, k, v = normal(heads), normal(kv_heads), normal(kv_heads)
    grad = torch.randn(1, heads, length, dim, device="cuda", dtype=torch.bfloat16)
    flush = torch.empty(1 << 26, device="cuda")
    forward, both = [], []
    for i in range(runs + 2):
        flush.fill_(i)
        marks = [torch.cuda.Event(enable_timing=True) for _ in range(3)]
        marks[0].record()
        o = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=heads != kv_heads)
        marks[1].record()
        torch.autograd.grad(o, (q, k, v), grad)
        marks[2].record()
        torch.cuda.synchronize()
        if i >= 2:
            forward.append(marks[0].elapsed_time(marks[1]))
            both.append(marks[0].elapsed_time(marks[2]))
    return {"forward": sorted(forward)[runs // 2], "both": sorted(both)[runs // 2]}


rows = {}
with sdpa_kernel(SDPBackend.CUDNN_ATTENTION):
    for shape in sys.argv[1].split(","):
        heads, kv_heads, dim = map(int, shape.split("/"))
        for k in map(int, sys.argv[2].split(",")):
            rows[f"{shape} {k}k"] = measure(heads, kv_heads, dim, k * 1024, int(sys.argv[3]))
print(json.dumps(rows))
