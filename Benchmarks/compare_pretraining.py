"""Times Apus's contrastive learning and its peers in turn on this machine: steps of SimCLR against
lightly, NT-Xent against PyTorch's whole matrix. Prints a line a measurement and the ratios.

    PEER_PYTHON=... python3 Benchmarks/compare_pretraining.py cifar10/train
"""
import argparse
import os
import statistics
import sys

from measuring import HERE, Failure, run


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("data", help="a folder of class folders with images of 32 pixels")
    add("--model", default="resnet20-cifar")
    add("--batch", type=int, default=256)
    add("--steps", type=int, default=40, help="timed steps of SimCLR")
    add("--rounds", type=int, default=3)
    add("--threads", type=int, default=len(os.sched_getaffinity(0)))
    add("--workers", type=int, default=2, help="processes that make lightly's views")
    add("--python", default=os.environ.get("PEER_PYTHON", sys.executable))
    add("--apus", default=str(HERE.parent / ".build/release/apus"))
    return parser.parse_args()


def main():
    options = arguments()
    threads = ["--threads", str(options.threads)]
    task = ["--model", options.model, "--batch", str(options.batch), "--steps", str(options.steps)]
    pretrain = [options.apus, "bench", "pretrain", "--data", options.data, *task, *threads, "--json"]
    # Its threads share the cores with its workers: where they spin while they wait, it is slower.
    lightly = ["env", "OMP_WAIT_POLICY=passive", "GOMP_SPINCOUNT=0", options.python,
               str(HERE / "lightly_simclr.py"), options.data, *task, *threads, "--workers",
               str(options.workers)]
    dense = [options.python, str(HERE / "dense_ntxent.py"), *threads]

    def images(result):
        return 1000 * options.batch / result["fed_ms"]

    # Name, unit, command, and where the figure is in what it prints.
    contenders = [
        ("apus fp32", "images/s", pretrain, images),
        ("apus bf16", "images/s", [*pretrain, "--precision", "bf16"], images),
        ("lightly", "images/s", lightly, lambda result: result["median_images_per_second"]),
        ("apus NT-Xent", "ms", [options.apus, "bench", "loss", *threads, "--json"],
         lambda result: result["median_ms"]),
        ("PyTorch NT-Xent", "ms", dense, lambda result: result["median_ms"]),
    ]
    figures = {name: [] for name, *_ in contenders}
    for number in range(options.rounds):
        for name, unit, command, figure in contenders:
            result, peak = run(command)
            figures[name].append(figure(result))
            print(f"round {number + 1}: {name} {figures[name][-1]:.0f} {unit}, at most {peak:.0f} MiB",
                  flush=True)
    median = {name: statistics.median(values) for name, values in figures.items()}
    for name in ("apus fp32", "apus bf16"):
        print(f"{name}: {median[name] / median['lightly']:.2f} times lightly's images/s")
    print(f"NT-Xent: {median['PyTorch NT-Xent'] / median['apus NT-Xent']:.2f} times as fast")


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        sys.exit(f"compare_pretraining: {failure}")
