#!/usr/bin/env python3
"""Our BLIP captions beside Hugging Face's generate (float32) on the same weights, in turns.

Usage: python3 bench/captions_peer.py BENCH_CAPTIONS [--rounds N] [--threads N] [--frames N] [--beams N]
                                      [--precision auto|f32|bf16] [--keep FOLDER]

BENCH_CAPTIONS is build/release/bin/bench_captions. The model is BLIP base (ViT-B/16 at 384, a decoder of
12 layers, 30,524 words) with random weights (about 1 GB on disk for the run; --keep leaves it in FOLDER,
for bench_captions alone). Needs torch, transformers, safetensors. Every caption is of full length (20
tokens with the start token), so both do the same work. OPENBLAS_CORETYPE and OPENBLAS_L2_SIZE are unset
for both; quoted are medians, and the median over rounds of (their seconds / our seconds).
"""

import argparse
import os
import statistics
import sys
import tempfile
import time

from encoders_peers import Runner


def make_model(folder):
    import torch
    from transformers import BlipConfig, BlipForConditionalGeneration

    torch.manual_seed(1)
    text = dict(num_attention_heads=12)
    model = BlipForConditionalGeneration(BlipConfig(text_config=text, vision_config={}))
    for parameter in model.vision_model.parameters():  # BLIP's own initialiser makes them all zero
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.02)
    model.save_pretrained(folder)


def worker(folder, threads, frames, beams):
    import torch
    from transformers import BlipForConditionalGeneration

    torch.set_num_threads(threads)
    model = BlipForConditionalGeneration.from_pretrained(folder).eval()
    pixels = torch.randn(frames, 3, 384, 384)

    def captions():
        model.generate(pixels, min_length=20, max_length=20, num_beams=beams)

    captions()
    print("ready", flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        captions()
        print(f"{time.perf_counter() - start:.6f}", flush=True)


def compare(arguments, folder):
    environment = {k: v for k, v in os.environ.items()
                   if k not in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")}
    environment["OMP_NUM_THREADS"] = str(arguments.threads)
    if not os.path.exists(os.path.join(folder, "model.safetensors")):
        make_model(folder)
    common = ["--threads", str(arguments.threads), "--frames", str(arguments.frames),
              "--beams", str(arguments.beams)]
    runners = {
        "ours": Runner([arguments.bench, folder, "--serve", "--precision", arguments.precision,
                        *common], environment),
        "hf": Runner([sys.executable, __file__, "--worker", folder, *common], environment)}
    seconds = {name: [] for name in runners}
    for _ in range(arguments.rounds):
        for name, runner in runners.items():
            seconds[name].append(runner.seconds())
    for runner in runners.values():
        runner.close()
    print(f"{arguments.frames} captions, {arguments.beams} beams, {arguments.threads} threads, "
          f"ours in {arguments.precision}, {arguments.rounds} rounds\n")
    print("| program | median     | best       | their seconds / ours |")
    print("| ------- | ---------- | ---------- | ----- |")
    for name, values in seconds.items():
        ratio = statistics.median(v / o for v, o in zip(values, seconds["ours"]))
        print(f"| {name:7} | {statistics.median(values):8.3f} s | {min(values):8.3f} s "
              f"| {ratio:5.2f} |", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("bench", nargs="?")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--frames", type=int, default=10)
    parser.add_argument("--beams", type=int, default=1)
    parser.add_argument("--precision", choices=("auto", "f32", "bf16"), default="f32")
    parser.add_argument("--keep")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        worker(arguments.worker, arguments.threads, arguments.frames, arguments.beams)
        return
    if not arguments.bench:
        parser.error("BENCH_CAPTIONS is missing")
    if arguments.keep:
        compare(arguments, arguments.keep)
        return
    with tempfile.TemporaryDirectory() as folder:
        compare(arguments, folder)


if __name__ == "__main__":
    main()
