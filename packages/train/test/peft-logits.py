"""Logits with adapters by PEFT, as JSON: peft-logits.py BASE FOLDER NEW ID...

`ours`: of the base in BASE with the adapters in FOLDER. `theirs`: with adapters that PEFT makes, with other ranks in one layer, and
saves in NEW."""
import json
import sys

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM

base, folder, new, *ids = sys.argv[1:]
tokens = torch.tensor([[int(i) for i in ids]])


def logits(model):
    model.eval()
    with torch.no_grad():
        return model(tokens).logits[0].double().flatten().tolist()


def load():
    return AutoModelForCausalLM.from_pretrained(base, torch_dtype=torch.float32)


ours = logits(PeftModel.from_pretrained(load(), folder))
config = LoraConfig(
    r=4,
    lora_alpha=6,
    target_modules=["q_proj", "k_proj", "down_proj"],
    rank_pattern={"layers.1.mlp.down_proj": 2},
    alpha_pattern={"k_proj": 3},
    use_rslora=True,
    lora_dropout=0.1,
    task_type="CAUSAL_LM",
)
made = get_peft_model(load(), config)
torch.manual_seed(3)
for name, parameter in made.named_parameters():
    if "lora_B" in name:
        torch.nn.init.normal_(parameter, std=0.1)
theirs = logits(made)
made.save_pretrained(new)
print(json.dumps({"ours": ours, "theirs": theirs}))
