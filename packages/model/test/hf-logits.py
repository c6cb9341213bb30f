"""Prints the logits of an exported folder as JSON: hf-logits.py FOLDER ID...   With --stub, transformers is not needed."""
import json
import sys
import types

import torch

stub = "--stub" in sys.argv
folder, *ids = [a for a in sys.argv[1:] if a != "--stub"]
tokens = torch.tensor([[int(i) for i in ids]])
if not stub:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True)
else:
    import struct

    class Config:
        def __init__(self, **fields):
            self.__dict__.update(fields)

    class Model(torch.nn.Module):
        def __init__(self, config):
            super().__init__()
            self.config = config

        def post_init(self):
            pass

    fake = types.ModuleType("transformers")
    fake.PretrainedConfig, fake.PreTrainedModel = Config, Model
    outputs = types.ModuleType("transformers.modeling_outputs")
    outputs.CausalLMOutput = types.SimpleNamespace
    sys.modules.update({"transformers": fake, "transformers.modeling_outputs": outputs})
    sys.path.insert(0, folder)
    sys.dont_write_bytecode = True
    from modeling_nsa import NsaConfig, NsaForCausalLM

    model = NsaForCausalLM(NsaConfig(**json.load(open(f"{folder}/config.json"))))
    raw = open(f"{folder}/model.safetensors", "rb").read()
    size = struct.unpack("<Q", raw[:8])[0]
    header = json.loads(raw[8 : 8 + size])
    weights = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        a, b = (8 + size + x for x in entry["data_offsets"])
        weights[name] = torch.frombuffer(bytearray(raw[a:b]), dtype=torch.float32).view(entry["shape"])
    model.load_state_dict(weights)
with torch.no_grad():
    print(json.dumps(model.double().eval()(input_ids=tokens).logits[0].tolist()))
