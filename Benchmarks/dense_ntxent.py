"""NT-Xent and its gradient by PyTorch with the whole matrix of similarities, as SimCLR's published code
and lightly compute it: the peer of `apus bench loss`. Prints a JSON object.
"""
import argparse
import json
import statistics
import time

import torch
from torch.nn import functional


def loss(projections, temperature):
    pairs = len(projections) // 2
    unit = functional.normalize(projections)
    similarities = unit @ unit.T / temperature
    similarities.fill_diagonal_(-torch.inf)
    partners = torch.arange(2 * pairs).roll(pairs)
    return functional.cross_entropy(similarities, partners)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pairs", type=int, default=8192)
    parser.add_argument("--dimension", type=int, default=128)
    parser.add_argument("--temperature", type=float, default=0.5)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    projections = (2 * torch.rand(2 * options.pairs, options.dimension) - 1).requires_grad_()
    times = []
    for _ in range(options.steps + 1):
        projections.grad = None
        began = time.perf_counter()
        value = loss(projections, options.temperature)
        value.backward()
        times.append(1000 * (time.perf_counter() - began))
    print(json.dumps({"loss": value.item(), "median_ms": statistics.median(times[1:])}))


if __name__ == "__main__":
    main()
