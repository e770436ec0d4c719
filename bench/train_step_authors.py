#!/usr/bin/env python3
"""Seconds for one training step of the authors' own MMRA, for bench/train_step.cpp to stand beside.

Usage: python3 bench/train_step_authors.py CHECKOUT [--steps 15] [--threads N]   (Debian: python3-torch)

CHECKOUT is a working copy of the public repository ICDM-UESTC/MMRA. Its tensors are made before the
clock starts: gathering the instances' features, which their loader does elsewhere, is not timed. Run
it with OPENBLAS_CORETYPE and OPENBLAS_L2_SIZE unset, as bench/README.md says.
"""

import argparse
import os
import statistics
import sys
import time

import torch


def made_batch(args):
    b, k, frames, d = args.batch, args.k, args.frames, args.width
    inputs = (0.5 * torch.randn(b, frames, d), 0.5 * torch.randn(b, 1, d),
              0.5 + 0.5 * torch.rand(b, k), 0.5 * torch.randn(b, k, frames, d),
              0.5 * torch.randn(b, k, d), 8 + torch.rand(b, k, 1))
    return inputs, 8 + torch.rand(b, 1)


def peak_memory_mib():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) / 1024


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("checkout")
    for name, value in (("frames", 10), ("width", 768), ("k", 10), ("batch", 64), ("steps", 15),
                        ("warm-up", 3), ("threads", len(os.sched_getaffinity(0)))):
        parser.add_argument(f"--{name}", type=int, default=value)
    args = parser.parse_args()
    sys.path.insert(0, args.checkout)
    from model.MicroLens100k.MMRA import Model
    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    model = Model(alpha=0.6, frame_num=args.frames, feature_dim=args.width)
    model.relu = torch.nn.ReLU()  # used by their forward pass, declared nowhere
    adam = torch.optim.Adam(model.parameters(), 1e-5)
    print(f"authors: {args.frames} x {args.width} visual, 1 x {args.width} text, k {args.k}, "
          f"batch {args.batch}, {sum(p.numel() for p in model.parameters())} weights")
    print(f"threads {torch.get_num_threads()}, PyTorch {torch.__version__}, " + ", ".join(
        f"{name}={os.environ.get(name, '(unset)')}"
        for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")))
    seconds = []
    for step in range(args.warm_up + args.steps):
        inputs, labels = made_batch(args)
        start = time.perf_counter()
        loss = torch.nn.functional.mse_loss(model(*inputs), labels)
        adam.zero_grad()
        loss.backward()
        adam.step()
        if step >= args.warm_up:
            seconds.append(time.perf_counter() - start)
    print(f"one step: median {statistics.median(seconds):.4f} s, best {min(seconds):.4f} s, "
          f"worst {max(seconds):.4f} s ({len(seconds)} runs)")
    print(f"peak memory {peak_memory_mib():.0f} MiB")


main()
