"""Training steps of `bench train`'s models in PyTorch on the same card, as a skilled user writes them: the whole model under
torch.compile, bf16 autocast over fp32 masters, cuDNN attention, fused AdamW, clip at 1.0, optimizer step included.

Under torchrun each GPU takes `--step` tokens, by DistributedDataParallel. Prints one JSON line: the fastest micro-batch of those given, median tokens a second and peak GiB."""

import argparse
import contextlib
import json
import os
import statistics
import sys
import time

import torch
import torch._dynamo
import torch.nn as nn
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

args = argparse.ArgumentParser()
for name in ["layers", "d", "heads", "kv", "ff", "vocab", "context", "step"]:
    args.add_argument(f"--{name}", type=int)
args.add_argument("--micro", help="tokens of a micro-batch; several, comma-separated")
args.add_argument("--steps", type=int, default=10)
a = args.parse_args()
world, rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("LOCAL_RANK", 0))
torch.cuda.set_device(rank)
if world > 1:
    torch.distributed.init_process_group("nccl", device_id=torch.device("cuda", rank))
D = 64


class Norm(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.ones(a.d))

    def forward(self, x):
        f = x.float()
        return (f * torch.rsqrt(f.pow(2).mean(-1, keepdim=True) + 1e-5) * self.w).to(x.dtype)


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.n1, self.n2 = Norm(), Norm()
        self.qkv = nn.Linear(a.d, (a.heads + 2 * a.kv) * D, bias=False)
        self.o = nn.Linear(a.heads * D, a.d, bias=False)
        self.gate_up = nn.Linear(a.d, 2 * a.ff, bias=False)
        self.down = nn.Linear(a.ff, a.d, bias=False)

    def forward(self, x, cos, sin):
        b, t, _ = x.shape
        q, k, v = self.qkv(self.n1(x)).split([a.heads * D, a.kv * D, a.kv * D], -1)
        q, k, v = (y.view(b, t, -1, D).transpose(1, 2) for y in (q, k, v))

        def turn(y):
            lo, hi = y[..., : D // 2], y[..., D // 2 :]
            return torch.cat([lo * cos - hi * sin, hi * cos + lo * sin], -1).to(v.dtype)

        y = F.scaled_dot_product_attention(turn(q), turn(k), v, is_causal=True, enable_gqa=a.kv != a.heads)
        x = x + self.o(y.transpose(1, 2).reshape(b, t, -1))
        g, u = self.gate_up(self.n2(x)).split(a.ff, -1)
        return x + self.down(F.silu(g) * u)


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.e = nn.Embedding(a.vocab, a.d)
        self.blocks = nn.ModuleList(Block() for _ in range(a.layers))
        self.n, self.head = Norm(), nn.Linear(a.d, a.vocab, bias=False)
        for p in self.parameters():
            if p.dim() == 2:
                nn.init.normal_(p, 0, 0.02)
        inv = 1e4 ** (-torch.arange(0, D, 2).float() / D)
        angle = torch.outer(torch.arange(a.context).float(), inv)
        self.register_buffer("cos", angle.cos())
        self.register_buffer("sin", angle.sin())

    def forward(self, x, y):
        h = self.e(x).bfloat16()
        for block in self.blocks:
            h = block(h, self.cos, self.sin)
        return F.cross_entropy(self.head(self.n(h)).float().view(-1, a.vocab), y.view(-1))


def measure(micro):
    torch.manual_seed(1)
    torch.cuda.reset_peak_memory_stats()
    model = Model().cuda()
    step_model = torch.compile(model, dynamic=False)
    if world > 1:
        step_model = nn.parallel.DistributedDataParallel(step_model, device_ids=[rank], gradient_as_bucket_view=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    seconds = []
    for i in range(a.steps + 4):
        ids, targets = torch.randint(0, a.vocab, (2, a.step // micro, micro // a.context, a.context), device="cuda")
        torch.cuda.synchronize()
        start = time.perf_counter()
        for j, (x, y) in enumerate(zip(ids, targets)):
            # Gradients pass between GPUs in the backward of the last micro-batch alone.
            alone = step_model.no_sync() if world > 1 and j + 1 < len(ids) else contextlib.nullcontext()
            with alone:
                with torch.autocast("cuda", dtype=torch.bfloat16), sdpa_kernel(SDPBackend.CUDNN_ATTENTION):
                    loss = step_model(x, y) * (micro / a.step)
                loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return world * a.step / statistics.median(seconds[4:]), torch.cuda.max_memory_allocated() / 2**30


def attempt(micro):
    try:
        return (*measure(micro), micro)
    except RuntimeError as error:  # out of memory among them
        print(f"micro-batch of {micro}: {error}", file=sys.stderr)
        return (0, 0, micro)
    finally:
        torch._dynamo.reset()


best = max(attempt(int(m)) for m in a.micro.split(","))
if best[0] == 0:
    raise SystemExit("no micro-batch ran")
if rank == 0:
    print(json.dumps({"torch": torch.__version__, "tokensPerSecond": best[0], "gib": best[1], "micro": best[2]}))
if world > 1:
    torch.distributed.destroy_process_group()
