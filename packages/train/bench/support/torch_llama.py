"""One training step of a small Llama-shaped model in PyTorch: the peer of `pnpm bench cpu-train`.

usage: torch_llama.py --dtype fp32|bf16 --threads N --steps N    prints one JSON object
Model of 7.3M parameters: 4 layers, width 256, 4 heads of 64, SwiGLU 704, vocabulary 4096, untied head, RMSNorm, RoPE.
A step is 8 rows of 256 tokens: forward, backward, clipping to norm 1, AdamW. bf16 is autocast, PyTorch's own way.
"""
import argparse
import json
import statistics
import time

import torch
import torch.nn.functional as F
from torch import nn

LAYERS, WIDTH, HEADS, FFN, VOCAB, CONTEXT, ROWS = 4, 256, 4, 704, 4096, 256, 8
HEAD = WIDTH // HEADS


class RmsNorm(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(WIDTH))

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) * self.weight


def matrix(inputs, outputs, std=0.02):
    layer = nn.Linear(inputs, outputs, bias=False)
    nn.init.normal_(layer.weight, 0, std)
    return layer


angles = torch.outer(torch.arange(CONTEXT).float(), 1e4 ** (-torch.arange(0, HEAD, 2).float() / HEAD))
COS, SIN = angles.cos(), angles.sin()
HIDDEN = torch.triu(torch.ones(CONTEXT, CONTEXT, dtype=torch.bool), 1)


def turn(x):
    a, b = x.chunk(2, -1)
    return torch.cat([a * COS - b * SIN, b * COS + a * SIN], -1)


def attention(q, k, v):
    if hasattr(F, "scaled_dot_product_attention"):
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)
    scores = (q @ k.transpose(-1, -2) * HEAD**-0.5).masked_fill(HIDDEN, float("-inf"))
    return scores.softmax(-1) @ v


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        out = 0.02 / (2 * LAYERS) ** 0.5
        self.norm1, self.norm2 = RmsNorm(), RmsNorm()
        self.qkv, self.o = matrix(WIDTH, 3 * WIDTH), matrix(WIDTH, WIDTH, out)
        self.gate_up, self.down = matrix(WIDTH, 2 * FFN), matrix(FFN, WIDTH, out)

    def forward(self, x):
        q, k, v = (t.view(ROWS, CONTEXT, HEADS, HEAD).transpose(1, 2) for t in self.qkv(self.norm1(x)).chunk(3, -1))
        o = attention(turn(q), turn(k), v)
        x = x + self.o(o.transpose(1, 2).reshape(ROWS, CONTEXT, WIDTH))
        gate, up = self.gate_up(self.norm2(x)).chunk(2, -1)
        return x + self.down(F.silu(gate) * up)


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(VOCAB, WIDTH)
        nn.init.normal_(self.embed.weight, 0, 0.02)
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))
        self.norm, self.head = RmsNorm(), matrix(WIDTH, VOCAB)

    def forward(self, tokens, targets):
        x = self.embed(tokens)
        for layer in self.layers:
            x = layer(x)
        return F.cross_entropy(self.head(self.norm(x)).float().view(-1, VOCAB), targets.reshape(-1))


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--dtype", choices=["fp32", "bf16"], default="fp32")
    args.add_argument("--threads", type=int, default=1)
    args.add_argument("--steps", type=int, default=4)
    a = args.parse_args()
    torch.set_num_threads(a.threads)
    torch.manual_seed(1337)
    model = Model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.1, foreach=True)
    ids = torch.randint(0, VOCAB, (ROWS, CONTEXT + 1))
    wall, cpu = [], []
    for step in range(a.steps + 2):
        t, c = time.perf_counter(), time.process_time()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=a.dtype == "bf16"):
            loss = model(ids[:, :-1], ids[:, 1:])
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if step >= 2:
            wall.append(time.perf_counter() - t)
            cpu.append(time.process_time() - c)
    tokens = ROWS * CONTEXT
    print(json.dumps({
        "torch": torch.__version__,
        "tokens_per_cpu_second": tokens / min(cpu),
        "tokens_per_second": tokens / min(wall),
        "median_tokens_per_cpu_second": tokens / statistics.median(cpu),
    }))


main()
