#!/usr/bin/env python3
"""Writes tests/golden/pretrained/{bert,vit}/: small random models and what transformers makes of them.

Usage: python3 tools/golden/transformers_models.py tests/golden/pretrained
       python3 tools/golden/transformers_models.py --sentences MODEL tests/golden/pretrained/minilm.json

Needs torch, transformers 4.x and safetensors; the versions that ran are in each expected.json. A
folder has the model as transformers saves it (config.json, model.safetensors), a copy in two float16
shards (sharded_f16/), one in bfloat16 (bf16/), and expected.safetensors: inputs and the output of
every stage in float32. Weights are drawn wide enough that every stage matters, sizes are odd, texts
have different lengths. The f16 and bf16 copies have expected values of their own: those of the same
model with its weights rounded, computed in float32.

The second form writes unit-length mean-pooled vectors of sentences by the BERT in MODEL.
"""

import json
import platform
import sys
from pathlib import Path

import numpy as np
import safetensors
import safetensors.torch
import torch
import transformers
from transformers import AutoTokenizer, BertConfig, BertModel, ViTConfig, ViTModel

SENTENCES = [
    "a man riding a wave on top of a surfboard",
    "cute cat compilation 2023",
    "How to cook rice?",
    "how do I prepare rice",
    "x",
    "The quick brown fox jumps over the lazy dog; then it sleeps for eleven hours, dreams of geese, "
    "and wakes up hungry again.",
    "\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440!",
    "caf\u00e9 na\u00efve r\u00e9sum\u00e9",
    "Unboxing the NEW phone!!! #tech #unboxing",
    "bright, mostly red, strong motion. bright, mostly red, calm. my first vlog",
]


def versions():
    return {"python": platform.python_version(), "torch": torch.__version__,
            "transformers": transformers.__version__, "safetensors": safetensors.__version__,
            "numpy": np.__version__}


def randomise(model, seed):
    """Weights wide enough that attention is not flat and GELU not linear."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if "norm" in name.lower() and name.endswith("weight"):
                parameter.copy_(1.0 + 0.3 * noise)
            elif parameter.dim() >= 2 and "embeddings" not in name:
                fan_in = parameter[0].numel()
                parameter.copy_(noise * (1.7 / fan_in ** 0.5))
            else:
                parameter.copy_(0.5 * noise)
    return model.eval()


def rounded(model, dtype):
    copy = type(model)(model.config, add_pooling_layer=False)
    state = {k: v.to(dtype).to(torch.float32) for k, v in model.state_dict().items()}
    copy.load_state_dict(state)
    return copy.eval()


def save(model, directory, dtype, shards=1):
    directory.mkdir(parents=True, exist_ok=True)
    state = {k: v.to(dtype).contiguous() for k, v in model.state_dict().items()
             if not k.endswith("position_ids")}
    config = model.config.to_dict()
    config["torch_dtype"] = str(dtype).split(".")[-1]
    (directory / "config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")
    if shards == 1:
        safetensors.torch.save_file(state, directory / "model.safetensors", {"format": "pt"})
        return
    names, weight_map = list(state), {}
    for i in range(shards):
        part = names[i * len(names) // shards:(i + 1) * len(names) // shards]
        file = f"model-{i + 1:05d}-of-{shards:05d}.safetensors"
        safetensors.torch.save_file({n: state[n] for n in part}, directory / file, {"format": "pt"})
        weight_map.update({n: file for n in part})
    index = {"metadata": {"total_size": sum(t.numel() * t.element_size() for t in state.values())},
             "weight_map": weight_map}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index, indent=1) + "\n")


def write_expected(directory, tensors):
    tensors = {k: v.detach().to(torch.float32).contiguous() if v.is_floating_point() else v
               for k, v in tensors.items()}
    safetensors.torch.save_file(tensors, directory / "expected.safetensors", versions())


def bert_stages(model, texts):
    """Every stage of each text by itself, then one text after the other."""
    stages = {}
    with torch.no_grad():
        for ids in texts:
            output = model(torch.tensor([ids]), output_hidden_states=True)
            for i, states in enumerate(output.hidden_states):
                name = "embeddings" if i == 0 else f"layer.{i - 1}"
                stages.setdefault(name, []).append(states[0])
    stages = {name: torch.cat(parts) for name, parts in stages.items()}
    last = stages[f"layer.{model.config.num_hidden_layers - 1}"].split([len(t) for t in texts])
    stages["cls"] = torch.stack([s[0] for s in last])
    stages["mean"] = torch.stack([s.mean(0) for s in last])
    stages["cls_avg"] = (stages["cls"] + stages["mean"]) / 2.0
    return stages


def make_bert(root):
    config = BertConfig(vocab_size=61, hidden_size=36, num_hidden_layers=3, num_attention_heads=3,
                        intermediate_size=52, max_position_embeddings=23, layer_norm_eps=1e-12)
    model = randomise(BertModel(config, add_pooling_layer=False), 1)
    generator = torch.Generator().manual_seed(2)
    texts = [torch.randint(0, 61, (n,), generator=generator).tolist() for n in (7, 1, 23, 4, 13)]
    ids = {"ids": torch.tensor(sum(texts, []), dtype=torch.int32),
           "lengths": torch.tensor([len(t) for t in texts], dtype=torch.int32)}
    save(model, root, torch.float32)
    write_expected(root, ids | bert_stages(model, texts))
    for name, dtype, shards in (("sharded_f16", torch.float16, 2), ("bf16", torch.bfloat16, 1)):
        save(model, root / name, dtype, shards)
        write_expected(root / name, bert_stages(rounded(model, dtype), texts))
    for act in ("gelu_new", "relu"):
        config.hidden_act = act
        other = BertModel(config, add_pooling_layer=False)
        other.load_state_dict(model.state_dict())
        stages = bert_stages(other.eval(), texts)
        (root / act).mkdir(exist_ok=True)
        write_expected(root / act, {"layer.2": stages["layer.2"]})


def vit_stages(model, images):
    with torch.no_grad():
        output = model(images, output_hidden_states=True)
    stages = {("embeddings" if i == 0 else f"layer.{i - 1}"): s.flatten(0, 1)
              for i, s in enumerate(output.hidden_states)}
    stages["final"] = output.last_hidden_state.flatten(0, 1)
    stages["class"] = output.last_hidden_state[:, 0]
    return stages


def make_vit(root):
    config = ViTConfig(hidden_size=36, num_hidden_layers=2, num_attention_heads=3,
                       intermediate_size=52, image_size=20, patch_size=5, layer_norm_eps=1e-12)
    model = randomise(ViTModel(config, add_pooling_layer=False), 3)
    images = torch.randn((3, 3, 20, 20), generator=torch.Generator().manual_seed(4))
    save(model, root, torch.float32)
    write_expected(root, {"images": images} | vit_stages(model, images))
    for name, dtype, shards in (("sharded_f16", torch.float16, 2), ("bf16", torch.bfloat16, 1)):
        save(model, root / name, dtype, shards)
        write_expected(root / name, vit_stages(rounded(model, dtype), images))


def write_sentences(model_directory, path):
    tokenizer = AutoTokenizer.from_pretrained(model_directory)
    model = BertModel.from_pretrained(model_directory, add_pooling_layer=False).eval()
    rows = []
    with torch.no_grad():
        for text in SENTENCES:
            ids = tokenizer(text)["input_ids"]
            states = model(torch.tensor([ids])).last_hidden_state[0]
            vector = torch.nn.functional.normalize(states.mean(0), dim=0)
            rows.append({"text": text, "ids": ids, "vector": [round(v, 7) for v in vector.tolist()]})
    out = {"versions": versions(), "pooling": "mean, unit length", "sentences": rows}
    Path(path).write_text(json.dumps(out, ensure_ascii=False) + "\n")


def main():
    torch.set_num_threads(1)
    if sys.argv[1] == "--sentences":
        write_sentences(sys.argv[2], sys.argv[3])
        return
    root = Path(sys.argv[1])
    make_bert(root / "bert")
    make_vit(root / "vit")
    print(versions())


if __name__ == "__main__":
    main()
