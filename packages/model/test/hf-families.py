"""Tiny random models of the families by transformers: hf-families.py make FOLDER, hf-families.py logits FOLDER ID...

`make` writes, a family, FOLDER/NAME/4 and FOLDER/NAME/5: config.json as version 4 writes it by hand and as this version saves it, weights,
generation_config.json, and expected.json with tokens, logits, 64 greedy tokens, and those up to an end. `logits` prints, a sub-folder that
was exported, its logits for the ids, as JSON."""
import json
import shutil
import sys
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM

torch.set_num_threads(1)

SIZES = dict(
    vocab_size=61, hidden_size=48, intermediate_size=80, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
    max_position_embeddings=256, rms_norm_eps=1e-5, hidden_act="silu", initializer_range=0.12, tie_word_embeddings=False,
    torch_dtype="float32", attention_dropout=0.0, use_cache=True,
)
LLAMA3 = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32)
YARN = dict(type="yarn", factor=4.0, original_max_position_embeddings=32)


def llama(**more):
    return {**SIZES, "model_type": "llama", "architectures": ["LlamaForCausalLM"], "rope_theta": 10000.0, **more}


def qwen2(**more):
    own = dict(use_sliding_window=False, sliding_window=20, max_window_layers=3)
    return {**SIZES, "model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"], "rope_theta": 1000000.0, **own, **more}


def qwen3(**more):
    own = dict(head_dim=20, use_sliding_window=False, sliding_window=None, max_window_layers=3, attention_bias=False)
    return {**SIZES, "model_type": "qwen3", "architectures": ["Qwen3ForCausalLM"], "rope_theta": 1000000.0, **own, **more}


def mistral(**more):
    return {**SIZES, "model_type": "mistral", "architectures": ["MistralForCausalLM"], "rope_theta": 10000.0, **more}


def phi3(**more):
    own = dict(original_max_position_embeddings=256, resid_pdrop=0.0, embd_pdrop=0.0, attention_bias=False, pad_token_id=0)
    return {**SIZES, "model_type": "phi3", "architectures": ["Phi3ForCausalLM"], "rope_theta": 10000.0, **own, **more}


FAMILIES = {
    "llama-2": llama(num_key_value_heads=4),
    "llama-3.1": llama(rope_theta=500000.0, rope_scaling=LLAMA3),
    "llama-3.2": llama(rope_theta=500000.0, rope_scaling={**LLAMA3, "factor": 32.0}, tie_word_embeddings=True, head_dim=16),
    "deepseek-coder": llama(rope_theta=100000.0, rope_scaling=dict(type="linear", factor=4.0)),
    "yarn": llama(rope_scaling=YARN),
    "yarn-mscale": llama(rope_scaling={**YARN, "mscale": 0.5, "mscale_all_dim": 0.7}),
    "yarn-options": llama(rope_scaling={**YARN, "beta_fast": 16, "beta_slow": 2, "attention_factor": 1.3}),
    "qwen-2": qwen2(),
    "qwen-2.5-tied": qwen2(tie_word_embeddings=True),
    "qwen-2.5-yarn": qwen2(rope_scaling=dict(type="yarn", factor=4.0, original_max_position_embeddings=64)),
    "qwen-2-windows": qwen2(use_sliding_window=True, max_window_layers=1),
    "qwen-3": qwen3(),
    "qwen-3-tied": qwen3(tie_word_embeddings=True),
    "qwen-3-windows": qwen3(
        use_sliding_window=True, sliding_window=20, layer_types=["sliding_attention", "full_attention", "sliding_attention"]
    ),
    "mistral-0.1": mistral(sliding_window=20),
    "mistral-0.3": mistral(sliding_window=None),
    "phi-3-4k": phi3(num_key_value_heads=4, sliding_window=20),
    "phi-4": phi3(rope_theta=250000.0, sliding_window=None),
    "phi-partial": phi3(sliding_window=None, head_dim=16, partial_rotary_factor=0.75),
    "mistral-head-dim": mistral(sliding_window=None, head_dim=16),
}
TOKENS = [(7 * t * t + 3 * t + t // 5) % 61 for t in range(70)]


def load(folder):
    model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager", trust_remote_code=True)
    return model.float().eval()


@torch.no_grad()
def logits_of(model, tokens):
    return model(torch.tensor([tokens])).logits[0].double().tolist()


@torch.no_grad()
def greedy(model, prompt, end, count=64):
    """Without a cache, so that nothing but the forward decides."""
    ids = list(prompt)
    for _ in range(count):
        ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
        if ids[-1] in end:
            break
    return ids[len(prompt) :]


def make(root):
    for seed, (name, config) in enumerate(FAMILIES.items()):
        four, five = root / name / "4", root / name / "5"
        four.mkdir(parents=True)
        (four / "config.json").write_text(json.dumps(config))
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(four), attn_implementation="eager").float().eval()
        with torch.no_grad():
            for parameter in model.parameters():
                # Biases and the weights of norms are constants otherwise.
                parameter.add_(0.1 * torch.randn(parameter.shape))
        model.generation_config.bos_token_id = 1
        prompt = TOKENS[:9]
        whole = greedy(model, prompt, [])
        # An end that the model writes for the first time as late as possible, beside one that it never writes.
        at = max((whole.index(i) for i in set(whole)), default=0)
        never = next(i for i in range(60, 0, -1) if i not in whole)
        end = [never, whole[at]]
        model.generation_config.eos_token_id = end
        model.save_pretrained(five)
        shutil.copy(five / "model.safetensors", four)
        shutil.copy(five / "generation_config.json", four)
        expected = dict(
            tokens=TOKENS, logits=logits_of(model, TOKENS), prompt=prompt, greedy=whole, end=end, ended=greedy(model, prompt, end)
        )
        (root / name / "expected.json").write_text(json.dumps(expected))


if sys.argv[1] == "make":
    make(Path(sys.argv[2]))
else:
    ids = [int(i) for i in sys.argv[3:]]
    print(json.dumps({f.name: logits_of(load(f), ids) for f in sorted(Path(sys.argv[2]).iterdir())}))
