#!/usr/bin/env python3
"""An encoder set of the paper's four models at their real sizes, with random weights and a made vocabulary.

Usage: python3 bench/paper_sized_set.py FOLDER

What memory and time the whole pipeline takes does not depend on the weights' values, so this stands in for
`mmra models pull paper` where no hub can be reached. Writes about 3.1 GB (float32, as the hub has them):
captioner (BLIP base), visual (ViT-B/16), text (BERT base), retrieval (BERT large). Captions are nonsense.
Needs torch, transformers, safetensors. Then

  /usr/bin/time -v mmra ingest MANIFEST --bank BANK --encoders FOLDER --precision bf16
"""

import json
import pathlib
import sys

import torch
from transformers import BertConfig, BertModel, ViTConfig, ViTModel

from captions_peer import make_model as make_captioner

WORDS = 30522


def write_vocabulary(folder, extra=()):
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words += [chr(c) for c in range(33, 127)] + ["##" + chr(c) for c in range(97, 123)]
    words += [f"word{i}" for i in range(WORDS - len(words))] + list(extra)
    (folder / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": True}))


def write_processor(folder, kind, side, resample, mean, std):
    (folder / "preprocessor_config.json").write_text(json.dumps({
        "image_processor_type": kind, "do_resize": True, "resample": resample,
        "size": {"height": side, "width": side},
        "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True,
        "image_mean": mean, "image_std": std}))


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    root = pathlib.Path(sys.argv[1])
    torch.manual_seed(1)
    models = {
        "visual": lambda: ViTModel(ViTConfig()),
        "text": lambda: BertModel(BertConfig()),
        "retrieval": lambda: BertModel(BertConfig(hidden_size=1024, num_hidden_layers=24,
                                                  num_attention_heads=16, intermediate_size=4096))}
    make_captioner(root / "captioner")
    for part, make in models.items():
        make().save_pretrained(root / part)
    write_vocabulary(root / "captioner", ("[DEC]", "[ENC]"))
    write_vocabulary(root / "text")
    write_vocabulary(root / "retrieval")
    write_processor(root / "captioner", "BlipImageProcessor", 384, 3,
                    [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711])
    write_processor(root / "visual", "ViTImageProcessor", 224, 2, [0.5] * 3, [0.5] * 3)


if __name__ == "__main__":
    main()
