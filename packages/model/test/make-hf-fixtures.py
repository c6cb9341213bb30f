"""Makes tiny random Llama, Qwen2 and Qwen3 folders with transformers' logits: make-hf-fixtures.py FOLDER

Each has config.json, model.safetensors and logits.json {tokens, logits}; hf-fixtures.test.ts imports them.
"""
import json
import sys
from pathlib import Path

import torch
import transformers
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM

sizes = dict(
    vocab_size=40, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, max_position_embeddings=256, initializer_range=0.2,
)
llama3 = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32)
torch.manual_seed(1)
models = {
    "llama": LlamaForCausalLM(LlamaConfig(**sizes)),
    "llama3": LlamaForCausalLM(LlamaConfig(**sizes, rope_scaling=llama3, rope_theta=500000.0, tie_word_embeddings=True)),
    "qwen2": Qwen2ForCausalLM(Qwen2Config(**sizes)),
    "qwen3": Qwen3ForCausalLM(Qwen3Config(**sizes, head_dim=16, tie_word_embeddings=True)),
}
tokens = [(7 * t * t + 3 * t + t // 5) % 40 for t in range(64)]
for seed, (name, model) in enumerate(models.items()):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    folder = Path(sys.argv[1]) / name
    model.save_pretrained(folder)
    with torch.no_grad():
        logits = model.eval()(torch.tensor([tokens])).logits[0]
    made = dict(transformers=transformers.__version__, tokens=tokens, logits=[[round(x, 5) for x in row] for row in logits.tolist()])
    (folder / "logits.json").write_text(json.dumps(made) + "\n")
