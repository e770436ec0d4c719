#!/usr/bin/env python3
"""Our pretrained encoders beside others' at the same sizes, in turns; prints a table of ratios.

Usage: python3 bench/encoders_peers.py BENCH_ENCODERS [--rounds N] [--threads N] [--case NAME ...]
                                       [--peer NAME ...] [--precision f32|bf16] [--processor-time]

BENCH_ENCODERS is build/release/bin/bench_encoders. Peers, random weights, as many threads:
  hf           transformers, eager, float32 (needs torch, transformers)
  onnxruntime  the same model exported by torch.onnx, float32, which is all it has here (needs also onnxruntime)
  openvino     the same file, in --precision (needs openvino)
  ctranslate2  texts alone, in --precision (needs ctranslate2 and safetensors)
One that is not installed or fails is named below the table. OPENBLAS_CORETYPE and OPENBLAS_L2_SIZE are
unset for all. --processor-time: on a machine that is not quiet, with --threads 1. Every program holds its model ready and makes one pass when told; a round is one pass of
each. Quoted: medians, and the median over rounds of (their seconds / our seconds).
"""

import argparse
import importlib.metadata
import os
import statistics
import subprocess
import sys
import tempfile
import time

# hidden, layers, heads, feed-forward, sequences, tokens, image side (0: texts), as in encoders.cpp
CASES = {
    "vit": (768, 12, 12, 3072, 10, 197, 224),
    "blip": (768, 12, 12, 3072, 4, 577, 384),
    "bert": (1024, 24, 16, 4096, 4, 128, 0),
    "minilm": (384, 6, 12, 1536, 32, 24, 0),
}
PEERS = ("hf", "onnxruntime", "openvino", "ctranslate2")
PACKAGES = {"hf": ("torch", "transformers"), "onnxruntime": ("onnxruntime",),
            "openvino": ("openvino",), "ctranslate2": ("ctranslate2",)}


def make_model(case):
    """A model that returns its last hidden states alone, and one input for it."""
    import torch
    import transformers as t

    hidden, layers, heads, wide, sequences, tokens, image = CASES[case]
    sizes = dict(hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads,
                 intermediate_size=wide)
    torch.manual_seed(1)
    if image == 0:
        model = t.BertModel(t.BertConfig(vocab_size=1000, **sizes), add_pooling_layer=False)
        inputs = torch.randint(0, 1000, (sequences, tokens))
    elif case == "blip":
        config = t.BlipVisionConfig(image_size=image, patch_size=16, **sizes)
        model = t.models.blip.modeling_blip.BlipVisionModel(config)
        inputs = torch.randn(sequences, 3, image, image)
    else:
        model = t.ViTModel(t.ViTConfig(image_size=image, patch_size=16, **sizes),
                           add_pooling_layer=False)
        inputs = torch.randn(sequences, 3, image, image)
    return model.eval(), inputs


def export(case, directory):
    import torch

    class LastStates(torch.nn.Module):
        def __init__(self, model):
            super().__init__()
            self.model = model

        def forward(self, x):
            return self.model(x, return_dict=False)[0]

    model, inputs = make_model(case)
    path = os.path.join(directory, "model.onnx")
    with torch.no_grad():
        torch.onnx.export(LastStates(model), (inputs,), path, input_names=["x"],
                          output_names=["y"], opset_version=14)
    return path, inputs.numpy()


def open_hf(case, threads, _, __):
    import torch

    torch.set_num_threads(threads)
    model, inputs = make_model(case)

    def one_pass():
        with torch.no_grad():
            model(inputs)

    return one_pass


def open_onnxruntime(case, threads, directory, _):
    import onnxruntime

    path, inputs = export(case, directory)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Its threads would otherwise spin while the others take their turn.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"x": inputs})


def open_openvino(case, threads, directory, precision):
    import openvino

    path, inputs = export(case, directory)
    core = openvino.Core()
    model = core.read_model(path)
    model.reshape(list(inputs.shape))
    compiled = core.compile_model(model, "CPU", {"INFERENCE_NUM_THREADS": threads,
                                                 "INFERENCE_PRECISION_HINT": precision,
                                                 "PERFORMANCE_HINT": "LATENCY"})
    return lambda: compiled([inputs])


def open_ctranslate2(case, threads, directory, precision):
    import ctranslate2
    import ctranslate2.converters
    import torch  # noqa: F401  (loaded before the converter's own import)
    from transformers import BertTokenizer

    if CASES[case][6] != 0:
        raise RuntimeError("no vision transformers")
    source = os.path.join(directory, "source")
    model, inputs = make_model(case)
    model.save_pretrained(source)
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary += [f"w{i}" for i in range(1000 - len(vocabulary))]
    with open(os.path.join(source, "vocab.txt"), "w") as file:
        file.write("\n".join(vocabulary) + "\n")
    BertTokenizer(os.path.join(source, "vocab.txt")).save_pretrained(source)
    target = os.path.join(directory, "converted")
    ctranslate2.converters.TransformersConverter(source).convert(target)
    encoder = ctranslate2.Encoder(target, compute_type={"f32": "float32", "bf16": "bfloat16"}[precision], inter_threads=1,
                                  intra_threads=threads)
    ids = inputs.tolist()
    return lambda: encoder.forward_batch(ids)


def worker(peer, case, threads, precision, clock):
    """Answers every line of input with the seconds of one pass."""
    with tempfile.TemporaryDirectory() as directory:
        one_pass = globals()["open_" + peer](case, threads, directory, precision)
        one_pass()
        print("ready", flush=True)
        for _ in sys.stdin:
            start = clock()
            one_pass()
            print(f"{clock() - start:.6f}", flush=True)


class Runner:
    """A process that makes a pass when asked."""

    def __init__(self, command, environment):
        self.errors = tempfile.TemporaryFile(mode="w+")  # a pipe nobody reads would fill
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.errors, text=True, env=environment)
        line = self.process.stdout.readline()
        while line and line.strip() != "ready":
            line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            self.errors.seek(0)
            lines = self.errors.read().strip().splitlines() or ["no message"]
            raise RuntimeError(lines[-1])

    def seconds(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def versions_of(peer):
    try:
        return ", ".join(f"{p} {importlib.metadata.version(p)}" for p in PACKAGES[peer])
    except importlib.metadata.PackageNotFoundError as error:
        return f"{error.name} is not installed"


def run_case(case, arguments, environment, failures):
    common = ["--threads", str(arguments.threads)]
    common += ["--processor-time"] if arguments.processor_time else []
    runners = {"ours": Runner([arguments.bench, "--serve", case, "--precision",
                               arguments.precision, *common], environment)}
    for peer in arguments.peer:
        try:
            runners[peer] = Runner([sys.executable, __file__, "--worker", peer, "--case", case,
                                    "--precision", arguments.precision, *common], environment)
        except RuntimeError as error:
            failures.append(f"{case}, {peer}: {error}")
    seconds = {name: [] for name in runners}
    for _ in range(arguments.rounds):
        for name, runner in runners.items():
            seconds[name].append(runner.seconds())
    for runner in runners.values():
        runner.close()
    for name, values in seconds.items():
        ratio = statistics.median(v / o for v, o in zip(values, seconds["ours"]))
        print(f"| {case:6} | {name:11} | {statistics.median(values):8.4f} s | {min(values):8.4f} s "
              f"| {ratio:5.2f} |", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("bench", nargs="?")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--case", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--peer", nargs="+", choices=PEERS, default=list(PEERS))
    parser.add_argument("--precision", choices=("f32", "bf16"), default="f32")
    parser.add_argument("--processor-time", action="store_true")
    parser.add_argument("--worker", choices=PEERS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        worker(arguments.worker, arguments.case[0], arguments.threads, arguments.precision,
               time.process_time if arguments.processor_time else time.perf_counter)
        return
    if not arguments.bench:
        parser.error("BENCH_ENCODERS is missing")
    environment = {k: v for k, v in os.environ.items()
                   if k not in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")}
    environment["OMP_NUM_THREADS"] = str(arguments.threads)
    print(f"{arguments.threads} threads, {arguments.rounds} rounds, ours in {arguments.precision}"
          + (", processor time; " if arguments.processor_time else "; ")
          + "; ".join(versions_of(peer) for peer in arguments.peer) + "\n")
    print("| case   | program     | median     | best       | their seconds / ours |")
    print("| ------ | ----------- | ---------- | ---------- | ----- |")
    failures = []
    for case in arguments.case:
        run_case(case, arguments, environment, failures)
    for failure in failures:
        print(f"left out: {failure}")


if __name__ == "__main__":
    main()
