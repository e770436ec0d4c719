#!/usr/bin/env python3
"""Runs Pillow and transformers' image processors and writes tests/golden/pretrained/images/images.json.

Usage: python3 tools/golden/images.py tests/golden/pretrained/images   (Pillow 12.3.0, transformers 4.41.2)

Pillow 3.3 to 12.3 resize columns first. Pillow 13 starts with the rows where the height is reduced much
more than the width (python-pillow/Pillow#9549), which moves bytes of upright pictures by one: the models
were trained with what came before, so 13 is refused here.

Pictures are functions of their size and kind (`made`), so that both sides make them and no file holds
them. resizes: the CRC-32 of Pillow's Image.resize. processors: a preprocessor_config.json, a picture,
the CRC-32 of pixel_values (float32, little-endian) and, of small ones, every value.
"""

import json
import sys
import zlib
from pathlib import Path

import numpy as np
import PIL
import transformers
from PIL import Image
from transformers import BlipImageProcessor, ViTImageProcessor

FULL_VALUES = 400
FILTERS = (0, 2, 3)  # nearest, bilinear, bicubic
# width, height, new width, new height
SIZES = [
    (1, 1, 1, 1), (1, 1, 5, 3), (2, 2, 7, 7), (3, 1, 10, 4), (1, 3, 4, 10), (2, 5, 1, 1), (7, 5, 7, 5),
    (7, 5, 14, 10), (7, 5, 7, 11), (7, 5, 13, 5), (16, 16, 8, 8), (17, 13, 8, 6), (33, 21, 10, 30),
    (21, 33, 30, 10), (64, 48, 63, 47), (64, 48, 65, 49), (100, 1, 7, 3), (1, 100, 3, 7), (100, 40, 1, 1),
    (320, 180, 224, 224), (180, 320, 224, 224), (231, 517, 96, 96), (640, 360, 384, 384), (50, 50, 384, 384),
    (1280, 720, 384, 384), (720, 1280, 224, 224), (1920, 31, 12, 12), (31, 1920, 12, 12), (999, 3, 2, 9),
    (4001, 2, 3, 2), (2, 4001, 2, 3),
]
VIT = {"image_processor_type": "ViTImageProcessor", "do_resize": True, "size": {"height": 224, "width": 224},
       "resample": 2, "do_rescale": True, "rescale_factor": 0.00392156862745098, "do_normalize": True,
       "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
BLIP = {"image_processor_type": "BlipImageProcessor", "do_resize": True, "size": {"height": 384, "width": 384},
        "resample": 3, "do_rescale": True, "rescale_factor": 0.00392156862745098, "do_normalize": True,
        "image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711],
        "processor_class": "BlipProcessor"}
PROCESSORS = [
    (VIT, 320, 180), (BLIP, 640, 360), (VIT, 224, 224),
    ({**VIT, "size": {"height": 9, "width": 12}}, 40, 31),
    ({**VIT, "size": 8, "resample": 3, "image_mean": [0.1, 0.2, 0.3], "image_std": [0.7, 0.8, 0.9]}, 5, 6),
    ({**BLIP, "size": {"height": 7, "width": 11}}, 64, 48),
    ({**BLIP, "size": {"height": 10, "width": 10}, "do_rescale": False}, 23, 17),
    ({**VIT, "size": {"height": 10, "width": 10}, "do_normalize": False, "resample": 0}, 23, 17),
    ({**VIT, "size": {"height": 6, "width": 6}, "do_normalize": False, "do_rescale": False}, 23, 17),
    ({**VIT, "size": {"height": 6, "width": 6}, "rescale_factor": 0.0078125, "image_mean": 0.25, "image_std": 0.75},
     23, 17),
    # What a file leaves out: transformers' defaults.
    ({"image_processor_type": "ViTFeatureExtractor"}, 50, 60),
    ({"image_processor_type": "BlipImageProcessor"}, 50, 60),
    ({"feature_extractor_type": "ViTFeatureExtractor", "size": 16}, 50, 60),
]


def made(kind, width, height):
    """uint8 [height, width, 3]: "noise", or "extremes" of 0 and 255, at which bicubic overshoots."""
    z = np.arange(width * height * 3, dtype=np.uint32)
    with np.errstate(over="ignore"):
        z = z * np.uint32(2654435761) + np.uint32(width * 31 + height)
        z = (z ^ (z >> np.uint32(15))) * np.uint32(2246822519)
        z = z ^ (z >> np.uint32(13))
    values = z >> np.uint32(24) if kind == "noise" else (z >> np.uint32(31)) * np.uint32(255)
    return values.astype(np.uint8).reshape(height, width, 3)


def crc(array):
    return zlib.crc32(np.ascontiguousarray(array).tobytes()) & 0xFFFFFFFF


def resize_cases():
    for kind in ("noise", "extremes"):
        for width, height, new_width, new_height in SIZES:
            image = Image.fromarray(made(kind, width, height))
            crcs = [crc(np.asarray(image.resize((new_width, new_height), resample))) for resample in FILTERS]
            yield {"kind": kind, "from": [width, height], "to": [new_width, new_height], "crcs": crcs}


def processor_cases():
    for config, width, height in PROCESSORS:
        name = config.get("image_processor_type", config.get("feature_extractor_type"))
        processor = (BlipImageProcessor if name.startswith("Blip") else ViTImageProcessor).from_dict(config)
        pixels = processor(made("noise", width, height), return_tensors="np",
                           input_data_format="channels_last")["pixel_values"][0]
        values = np.ascontiguousarray(pixels.astype(np.float32))
        case = {"config": config, "from": [width, height], "to": [values.shape[2], values.shape[1]],
                "crc": crc(values)}
        if values.size <= FULL_VALUES:
            case["values"] = [float(f"{value:.9g}") for value in values.ravel()]
        yield case


def main():
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    if int(PIL.__version__.split(".")[0]) > 12:
        raise SystemExit(f"Pillow {PIL.__version__} resizes rows first; take 12.3.0")
    golden = {"versions": f"Pillow {PIL.__version__}, transformers {transformers.__version__}",
              "filters": list(FILTERS), "resizes": list(resize_cases()), "processors": list(processor_cases())}
    text = json.dumps(golden, separators=(",", ":")).replace('},{"', '},\n{"')
    (Path(sys.argv[1]) / "images.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
