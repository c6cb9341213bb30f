"""Native Sparse Attention (arXiv 2502.11089) for transformers, written to be read: dense masks, O(T^2) memory, no cache.

AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True). Sequences of a batch have equal length, no padding.

Legend: B batch, T tokens, H query heads, G KV heads, C channels of a head, N compressed blocks, J selection blocks.
"""
import torch
import torch.nn.functional as F
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput


class NsaConfig(PretrainedConfig):
    model_type = "nsa"


class RmsNorm(nn.Module):
    def __init__(self, size, eps):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * self.weight


def rotate(x_BTHC, positions, base):
    """Rotary embedding; channels c and c + C/2 are a pair."""
    half = x_BTHC.shape[-1] // 2
    frequency = base ** (-torch.arange(half, device=x_BTHC.device, dtype=torch.float64) / half)
    angle = (positions.to(torch.float64)[:, None] * frequency).to(x_BTHC.dtype)
    cos, sin = angle.cos()[:, None], angle.sin()[:, None]
    a, b = x_BTHC[..., :half], x_BTHC[..., half:]
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


def attend(q_BTHC, k_BSGC, v_BSGC, seen):
    """Softmax attention over the keys that `seen` allows; queries without any give 0. Returns o and p [B, H, T, S]."""
    group = q_BTHC.shape[2] // k_BSGC.shape[2]
    k, v = (x.repeat_interleave(group, 2) for x in (k_BSGC, v_BSGC))
    s = torch.einsum("bthc,bshc->bhts", q_BTHC, k) * q_BTHC.shape[-1] ** -0.5
    p = s.masked_fill(~seen, float("-inf")).softmax(-1).nan_to_num(0.0)
    return torch.einsum("bhts,bshc->bthc", p, v), p


class Phi(nn.Module):
    """Compression of eq. 7: a block of keys or values becomes one."""

    def __init__(self, kind, block, dim):
        super().__init__()
        self.kind = kind
        if kind == "weighted":
            self.weight = nn.Parameter(torch.full((block,), 1 / block))
        if kind == "mlp":
            self.pos = nn.Parameter(torch.zeros(block, dim))
            self.up = nn.Linear(block * dim, 4 * dim, bias=False)
            self.down = nn.Linear(4 * dim, dim, bias=False)

    def forward(self, blocks_BNGLC):
        if self.kind == "mean":
            return blocks_BNGLC.mean(-2)
        if self.kind == "weighted":
            return torch.einsum("l,bnglc->bngc", self.weight, blocks_BNGLC)
        return self.down(F.silu(self.up((blocks_BNGLC + self.pos).flatten(-2))))


class Attention(nn.Module):
    def __init__(self, c, kind):
        super().__init__()
        self.c, self.kind = c, kind
        heads, groups, dim, value = c.num_attention_heads, c.num_key_value_heads, c.head_dim, c.value_head_dim
        matrix = lambda rows: nn.Linear(c.hidden_size, rows, bias=c.qkv_bias)  # noqa: E731
        self.q_proj = matrix(heads * dim)
        self.branches = ["_cmp", "_slc", "_win"] if kind == "nsa" else [""]
        for branch in self.branches:
            setattr(self, f"k_proj{branch}", matrix(groups * dim))
            setattr(self, f"v_proj{branch}", matrix(groups * value))
        if c.qk_norm:
            self.q_norm, self.k_norm = RmsNorm(dim, c.rms_norm_eps), RmsNorm(dim, c.rms_norm_eps)
        if kind == "nsa":
            self.gate_proj = nn.Linear(c.hidden_size, 3 * heads)
            self.phi_k = Phi(c.compress, c.block_size, dim)
            self.phi_v = Phi(c.compress, c.block_size, value)
        self.o_proj = nn.Linear(heads * value, c.hidden_size, bias=False)

    def forward(self, x):
        c = self.c
        B, T, _ = x.shape
        t = torch.arange(T, device=x.device)
        turn = lambda y: rotate(y, t, c.rope_base)  # noqa: E731
        q = self.q_proj(x).view(B, T, -1, c.head_dim)
        q = turn(self.q_norm(q) if c.qk_norm else q)
        pairs = []
        for branch in self.branches:
            k = getattr(self, f"k_proj{branch}")(x).view(B, T, -1, c.head_dim)
            k = self.k_norm(k) if c.qk_norm else k
            pairs.append((k if branch == "_cmp" else turn(k), getattr(self, f"v_proj{branch}")(x).view(B, T, -1, c.value_head_dim)))
        causal = t[None] <= t[:, None]
        near = causal & (t[None] > t[:, None] - c.window_size)
        if self.kind != "nsa":
            o, _ = attend(q, *pairs[0], near if self.kind == "window" else causal)
        else:
            (k_cmp, v_cmp), slc, win = pairs
            o_cmp, p_BHTN = self.compressed(q, k_cmp, v_cmp, t)
            o_slc, _ = attend(q, *slc, self.selected(p_BHTN, t) & causal)
            o_win, _ = attend(q, *win, near)
            gate = self.gate_proj(x).view(B, T, -1, 3).sigmoid()
            o = sum(gate[..., i, None] * branch for i, branch in enumerate((o_cmp, o_slc, o_win)))
        return self.o_proj(o.reshape(B, T, -1))

    def compressed(self, q, k, v, t):
        c = self.c
        starts = torch.arange(0, max(0, len(t) - c.block_size + 1), c.stride, device=t.device)
        if len(starts) == 0:
            none = q.new_zeros(q.shape[0], q.shape[2], len(t), 0)
            return q.new_zeros(*q.shape[:3], c.value_head_dim), none
        blocks = lambda x: x.unfold(1, c.block_size, c.stride).transpose(-1, -2)  # noqa: E731
        k_blocks, v_blocks = self.phi_k(blocks(k)), self.phi_v(blocks(v))
        if c.compressed_rope == "block_start":
            k_blocks = rotate(k_blocks, starts, c.rope_base)
        return attend(q, k_blocks, v_blocks, starts[None] + c.block_size - 1 <= t[:, None])

    def selected(self, p_BHTN, t):
        """Which tokens the selection branch reads, [B, H, T, T]: eq. 8-12, ties to the lower block."""
        c = self.c
        T, size, groups = len(t), c.selection_block_size, c.num_key_value_heads
        B, H, _, N = p_BHTN.shape
        J = (T + size - 1) // size
        starts = torch.arange(N, device=t.device) * c.stride
        edges = torch.arange(J, device=t.device) * size
        shared = torch.minimum(starts[:, None] + c.block_size, edges + size) - torch.maximum(starts[:, None], edges)
        score = p_BHTN.view(B, groups, H // groups, T, N).sum(2) @ (shared.clamp(min=0) / c.stride).to(p_BHTN.dtype)
        block, here = torch.arange(J, device=t.device), (t // size)[:, None]
        forced = (block < c.num_initial_blocks) | (block > here - c.num_local_blocks)
        score = score.masked_fill(forced, float("inf")).masked_fill(block > here, float("-inf"))
        order = torch.sort(score, dim=-1, descending=True, stable=True).indices[..., : c.num_selected_blocks]
        chosen = torch.zeros_like(score, dtype=torch.bool).scatter(-1, order, True) & (block <= here)
        return chosen.repeat_interleave(size, -1)[..., :T].repeat_interleave(H // groups, 1)


class Mlp(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.gate_proj = nn.Linear(c.hidden_size, c.intermediate_size, bias=False)
        self.up_proj = nn.Linear(c.hidden_size, c.intermediate_size, bias=False)
        self.down_proj = nn.Linear(c.intermediate_size, c.hidden_size, bias=False)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self, c, kind):
        super().__init__()
        self.input_layernorm = RmsNorm(c.hidden_size, c.rms_norm_eps)
        self.post_attention_layernorm = RmsNorm(c.hidden_size, c.rms_norm_eps)
        self.self_attn, self.mlp = Attention(c, kind), Mlp(c)

    def forward(self, x):
        x = x + self.self_attn(self.input_layernorm(x))
        return x + self.mlp(self.post_attention_layernorm(x))


class Decoder(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.embed_tokens = nn.Embedding(c.vocab_size, c.hidden_size)
        self.layers = nn.ModuleList(Layer(c, kind) for kind in c.attention_layers)
        self.norm = RmsNorm(c.hidden_size, c.rms_norm_eps)

    def forward(self, ids):
        x = self.embed_tokens(ids)
        for layer in self.layers:
            x = layer(x)
        return self.norm(x)


class NsaForCausalLM(PreTrainedModel):
    config_class = NsaConfig

    def __init__(self, config):
        super().__init__(config)
        self.model = Decoder(config)
        # A tied head is the embedding itself and no parameter of its own.
        if not config.head_is_embedding:
            self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def forward(self, input_ids, attention_mask=None, labels=None, **_):
        if attention_mask is not None and not bool(attention_mask.all()):
            raise ValueError("padding is not supported: give sequences of one length")
        hidden = self.model(input_ids)
        head = self.model.embed_tokens.weight if self.config.head_is_embedding else self.lm_head.weight
        logits = F.linear(hidden, head)
        loss = None
        if labels is not None:
            loss = F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
        return CausalLMOutput(loss=loss, logits=logits)
