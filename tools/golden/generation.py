#!/usr/bin/env python3
"""Runs Hugging Face's generate and writes tests/golden/pretrained/generation/generation.json, which
our greedy and beam search must equal id for id.

Usage: python3 tools/golden/generation.py tests/golden/pretrained/generation
Made with transformers 4.41.2, PyTorch 1.13.

The model behind it is a table: the logits of the next token are a function of the item, the last two
tokens and the candidate (`logits`), so that the test makes the same ones and no file holds them.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
import transformers
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput

MASK = (1 << 64) - 1
VOCABULARY = 23
START = 5
PAD = 0
ITEMS = 8

CASES = [
    {},
    {"max_length": 2},
    {"max_length": 9},
    {"max_new_tokens": 7, "max_length": 4},
    {"min_length": 12},
    {"min_new_tokens": 9, "min_length": 3},
    {"repetition_penalty": 1.7},
    {"repetition_penalty": 0.6},
    {"no_repeat_ngram_size": 1, "max_length": 12},
    {"no_repeat_ngram_size": 2},
    {"no_repeat_ngram_size": 3, "min_length": 15},
    {"num_beams": 2},
    {"num_beams": 3},
    {"num_beams": 5, "max_length": 8},
    {"num_beams": 4, "max_length": 2},
    {"num_beams": 3, "early_stopping": True},
    {"num_beams": 3, "early_stopping": "never"},
    {"num_beams": 4, "length_penalty": 2.0, "early_stopping": "never"},
    {"num_beams": 4, "length_penalty": 3.5},
    {"num_beams": 4, "length_penalty": 0.0},
    {"num_beams": 4, "length_penalty": -1.5},
    {"num_beams": 4, "length_penalty": -1.0, "early_stopping": "never"},
    {"num_beams": 2, "length_penalty": -0.4, "early_stopping": "never"},
    {"num_beams": 2, "length_penalty": -3.0, "early_stopping": "never"},
    {"num_beams": 2, "min_length": 3, "max_length": 9},
    {"num_beams": 2, "early_stopping": True, "length_penalty": 3.0},
    {"num_beams": 4, "early_stopping": True, "length_penalty": 2.0},
    {"num_beams": 2, "length_penalty": -0.1, "early_stopping": "never", "repetition_penalty": 3.0},
    {"num_beams": 2, "length_penalty": -0.2, "early_stopping": "never", "repetition_penalty": 0.3},
    {"num_beams": 4, "length_penalty": 0.4, "early_stopping": True, "min_length": 6},
    {"num_beams": 3, "repetition_penalty": 1.5},
    {"num_beams": 3, "repetition_penalty": 0.7, "max_length": 10},
    {"num_beams": 3, "no_repeat_ngram_size": 2, "min_length": 10},
    {"num_beams": 5, "no_repeat_ngram_size": 1, "repetition_penalty": 1.2, "min_length": 5,
     "length_penalty": 1.3, "max_length": 11},
]
# End ids and what is added to their logits: more of them make the rare branches of beam search happen.
ENDS = [([2], 0.0), ([2, 7, 11], 0.0), ([2, 7, 11], 2.5)]


def splitmix(value):
    z = (value * 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def logits(item, before, last):
    """The float32 logits [VOCABULARY] after `before`, `last`: multiples of 2^-20 in [-4, 4)."""
    state = splitmix(splitmix(splitmix(item + 1) + before) + last)
    values = [(splitmix(state + token) >> 41) / 2.0**20 - 4.0 for token in range(VOCABULARY)]
    return np.asarray(values, dtype=np.float32)


class TableConfig(PretrainedConfig):
    model_type = "table"


class TableModel(PreTrainedModel):
    config_class = TableConfig

    def __init__(self, item, ends, bias):
        super().__init__(TableConfig(vocab_size=VOCABULARY))
        self.item = item
        self.bias = np.zeros(VOCABULARY, dtype=np.float32)
        self.bias[ends] = bias
        self.unused = torch.nn.Parameter(torch.zeros(1))

    def prepare_inputs_for_generation(self, input_ids, **_):
        return {"input_ids": input_ids}

    def forward(self, input_ids, **_):
        rows = []
        for ids in input_ids.tolist():
            rows.append(logits(self.item, ids[-2] if len(ids) > 1 else VOCABULARY, ids[-1]) + self.bias)
        return CausalLMOutput(logits=torch.from_numpy(np.stack(rows))[:, None, :])

    def _reorder_cache(self, past, _):
        return past


def generate(item, options, ends, bias):
    ids = TableModel(item, ends, bias).generate(torch.tensor([[START]]), pad_token_id=PAD,
                                                eos_token_id=ends, **options)[0].tolist()
    for position, token in enumerate(ids):
        if token in ends:
            assert all(rest == PAD for rest in ids[position + 1:])
            return ids[:position + 1]
    return ids


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    torch.set_num_threads(1)
    cases = []
    for ends, bias in ENDS:
        for options in CASES:
            cases.append({"options": options, "ends": ends, "bias": bias,
                          "ids": [generate(item, options, ends, bias) for item in range(ITEMS)]})
    golden = {"transformers": transformers.__version__, "torch": torch.__version__,
              "vocabulary": VOCABULARY, "start": START, "cases": cases}
    lines = json.dumps(golden).replace('{"options"', '\n{"options"')
    (Path(sys.argv[1]) / "generation.json").write_text(lines + "\n")


main()
