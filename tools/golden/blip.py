#!/usr/bin/env python3
"""Makes a small random BLIP and runs Hugging Face's on it: the folder tests/golden/pretrained/blip.

Usage: python3 tools/golden/blip.py tests/golden/pretrained/blip
Made with transformers 4.41.2, PyTorch 1.13, tokenizers 0.19.1, Pillow, safetensors.

The folder is a model as Hugging Face lays it out (config.json, model.safetensors,
preprocessor_config.json, tokenizer.json and vocab.txt) with sizes that divide nothing by accident:
the vision tower is 36 wide with 3 heads, the decoder 40 with 4. As in BLIP's own, the start token lies
outside of the tokenizer's vocabulary. Beside it expected.safetensors (pixels and every stage, float32)
and captions.json (ids and captions of every way of generating, which float64 gives too).
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
import transformers
from PIL import Image
from safetensors.numpy import save_file
from transformers import (BertTokenizerFast, BlipConfig, BlipForConditionalGeneration,
                          BlipImageProcessor)

WORDS = """a an the man woman two dog cat bird red blue green dark small large standing sitting walking
holding playing on in with of next to street table beach grass ball car phone food plate hat window
people photo screen water ##s ##ing ##er ##y , . ' -""".split()
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + WORDS
SEP = VOCABULARY.index("[SEP]")
START = len(VOCABULARY)  # "[DEC]"
IMAGE_SIZE = 30
SIZES = [(47, 33), (30, 30), (19, 52), (64, 21)]  # width, height of the pictures

CASES = [
    {},
    {"max_length": 7},
    {"max_new_tokens": 5},
    {"min_length": 14},
    {"repetition_penalty": 1.5},
    {"no_repeat_ngram_size": 2},
    {"num_beams": 3},
    {"num_beams": 2, "max_length": 9},
    {"num_beams": 4, "length_penalty": 2.0},
    {"num_beams": 4, "length_penalty": -1.0, "early_stopping": True},
    {"num_beams": 3, "length_penalty": 0.0, "early_stopping": "never"},
    {"num_beams": 5, "min_length": 8, "repetition_penalty": 1.3},
    {"num_beams": 3, "no_repeat_ngram_size": 2, "max_length": 12},
]


def made_config():
    text = {"vocab_size": len(VOCABULARY) + 2, "hidden_size": 40, "intermediate_size": 56,
            "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 24,
            "bos_token_id": START, "sep_token_id": SEP, "pad_token_id": 0, "max_length": 17}
    vision = {"hidden_size": 36, "intermediate_size": 52, "num_hidden_layers": 2,
              "num_attention_heads": 3, "image_size": IMAGE_SIZE, "patch_size": 6}
    return BlipConfig(text_config=text, vision_config=vision)


def made_weights(model, generator):
    """Large enough that what is generated depends on the image and ends at different lengths."""
    def normal(shape, scale):
        return torch.randn(shape, generator=generator) * scale

    for name, weight in model.named_parameters():
        if "ayer_norm" in name or "layernorm" in name or "LayerNorm" in name:
            weight.data = normal(weight.shape, 0.2) + (1.0 if name.endswith("weight") else 0.0)
        elif name.endswith("bias"):
            weight.data = normal(weight.shape, 0.1)
        elif "embedding" in name and "patch" not in name:
            weight.data = normal(weight.shape, 0.5)
        else:
            width = weight[0].numel()
            scale = 2.6 if "crossattention" in name else 1.4
            weight.data = normal(weight.shape, scale / np.sqrt(width))
    bias = model.text_decoder.cls.predictions.bias
    bias.data[SEP] += 0.8
    bias.data[[0, 1, 2, 4, START, START + 1]] -= 1.5


def pictures():
    """Smooth colours, edges and a little noise, a function of the picture's number."""
    images = []
    for number, (width, height) in enumerate(SIZES):
        random = np.random.RandomState(number)
        y, x = np.mgrid[0:height, 0:width]
        planes = [127 + 90 * np.sin(x / (3.0 + number + c) + y / (9.0 - number - c) + c * number)
                  for c in range(3)]
        image = np.stack(planes, axis=2) + random.randint(-12, 13, (height, width, 3))
        image[height // 4:height // 2, width // (2 + number):] = [200, 40 * number, 90]
        images.append(np.clip(image, 0, 255).astype(np.uint8))
    return images


def save_tokenizer(folder):
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n")
    tokenizer = BertTokenizerFast(vocab_file=str(folder / "vocab.txt"))
    tokenizer.save_pretrained(folder)
    for unneeded in ("special_tokens_map.json",):
        (folder / unneeded).unlink()
    return tokenizer


def vision_stages(model, pixels):
    output = model.vision_model(pixels, output_hidden_states=True)
    stages = {"vision.embeddings": output.hidden_states[0]}
    for i, states in enumerate(output.hidden_states[1:]):
        stages[f"vision.layer.{i}"] = states
    stages["vision.final"] = output.last_hidden_state
    return stages


def decoder_stages(model, image_states, ids):
    """Of `ids` [images × tokens], all at once under the causal mask, and a token at a time."""
    output = model.text_decoder(ids, encoder_hidden_states=image_states, output_hidden_states=True)
    stages = {"decoder.embeddings": output.hidden_states[0]}
    for i, states in enumerate(output.hidden_states[1:]):
        stages[f"decoder.layer.{i}"] = states
    stages["decoder.logits"] = output.logits
    past, steps = None, []
    for position in range(ids.shape[1]):
        step = model.text_decoder(ids[:, position:position + 1], past_key_values=past,
                                  encoder_hidden_states=image_states, use_cache=True)
        past = step.past_key_values
        steps.append(step.logits[:, 0])
    stages["decoder.cached_logits"] = torch.stack(steps, dim=1)
    return stages


def without_padding(row):
    ids = row.tolist()
    return ids[:ids.index(SEP) + 1] if SEP in ids else ids


def generated(model, pixels, options):
    alone = [without_padding(model.generate(image[None], **options)[0]) for image in pixels]
    together = [without_padding(row) for row in model.generate(pixels, **options)]
    assert alone == together, options
    return together


def greedy_margin(model, pixels):
    """The smallest distance from the best to the second logit while captions are generated."""
    output = model.text_decoder.generate(
        torch.full((len(pixels), 1), START), eos_token_id=SEP, pad_token_id=0,
        encoder_hidden_states=model.vision_model(pixels)[0], output_logits=True,
        return_dict_in_generate=True)
    best = [torch.topk(logits, 2).values for logits in output.logits]
    return min(float((pair[:, 0] - pair[:, 1]).min()) for pair in best)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    model = BlipForConditionalGeneration(made_config()).eval()
    made_weights(model, torch.Generator().manual_seed(8))
    model.save_pretrained(folder)
    tokenizer = save_tokenizer(folder)
    processor = BlipImageProcessor(size={"height": IMAGE_SIZE, "width": IMAGE_SIZE})
    processor.save_pretrained(folder)

    images = pictures()
    pixels = processor([Image.fromarray(image) for image in images],
                       return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        cases = []
        for options in CASES:
            ids = generated(model, pixels, options)
            cases.append({"options": options, "ids": ids,
                          "captions": [tokenizer.decode(row, skip_special_tokens=True)
                                       for row in ids]})
        margin = greedy_margin(model, pixels)
        assert margin > 0.01, margin
        # Sentences of the same length for the stages, whatever they mean.
        ids = torch.tensor([[START, 6 + i, 20 + 2 * i, 50 - i, 9, 33 + i]
                            for i in range(len(images))])
        stages = {"pixels": pixels, **vision_stages(model, pixels)}
        stages.update(decoder_stages(model, stages["vision.final"], ids))
        in_double = model.double()
        for case in cases:
            assert case["ids"] == generated(in_double, pixels.double(), case["options"]), case

    arrays = {name: np.ascontiguousarray(values.numpy().astype(np.float32))
              for name, values in stages.items()}
    arrays["decoder.ids"] = ids.numpy().astype(np.int32)
    for number, image in enumerate(images):
        arrays[f"picture.{number}"] = image
    save_file(arrays, folder / "expected.safetensors")
    golden = {"transformers": transformers.__version__, "torch": torch.__version__,
              "greedy_margin": margin, "cases": cases}
    (folder / "captions.json").write_text(
        json.dumps(golden).replace('{"options"', '\n{"options"') + "\n")


main()
