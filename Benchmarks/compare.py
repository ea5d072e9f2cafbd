"""Times Apus and its peers in turn on this machine; prints a table and writes it as Markdown.

Every measurement is a process of its own, and a round measures every contender once, so that what
else runs on the machine meets all of them. A figure is the median over the rounds of each process's
median step; a ratio above 1 says that Apus is faster than the fastest peer. Where a neighbour slows
the machine down for seconds, medians say who met it: the ratio of the shortest rounds leaves it out.
"""
import argparse
import datetime
import os
import pathlib
import shlex
import shutil
import sys
import tempfile

import table
from measuring import HERE, Case, Failure, measure, run, versions

TABLE = [
    "resnet20-cifar:128:32",
    "resnet18-cifar:128:32",
    "resnet50:32:224",
    "densenet121:16:224",
    "efficientnet_b0:16:224",
]
TASKS = ["train", "infer"]


def case(task, text):
    """MODEL:BATCH:SIDE"""
    try:
        model, batch, side = text.split(":")
        if not model or int(batch) < 1 or int(side) < 1:
            raise ValueError
        return task, model, int(batch), int(side)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not MODEL:BATCH:SIDE") from None


def positive(text):
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of at least 1")
    return int(text)


def arguments():
    parser = argparse.ArgumentParser(
        prog="scripts/compare.sh", description=__doc__.split("\n")[0],
        epilog="Without --train and --infer, trains the project's table and infers it at batch 1 "
        "and 16. Example: scripts/compare.sh --train resnet18-cifar:128:32 --rounds 5 --compile")
    add = parser.add_argument
    for task in TASKS:
        add(f"--{task}", action="append", metavar="MODEL:BATCH:SIDE", dest="cases",
            type=lambda text, task=task: case(task, text), help=f"what to {task}; repeatable")
    add("--precision", nargs="+", choices=["fp32", "bf16"], default=["fp32"])
    add("--rounds", type=positive, default=3, help="measurements of each contender (3)")
    add("--steps", type=positive, default=5, help="timed steps of a measurement (5)")
    add("--threads", type=positive, default=len(os.sched_getaffinity(0)), help="all cores")
    add("--compile", action="store_true", help="measure torch.compile too")
    add("--python", default=os.environ.get("PEER_PYTHON", sys.executable),
        help="the Python that has the peers; $PEER_PYTHON, or the one running this")
    add("--apus", default=str(HERE.parent / ".build/release/apus"))
    add("--out", default="comparison.md", help="the Markdown file to write (comparison.md)")
    options = parser.parse_args()
    if not options.cases:
        options.cases = [case("train", text) for text in TABLE]
        sized = [text.split(":") for text in TABLE if not text.startswith("resnet20")]
        options.cases += [
            case("infer", f"{m}:{b}:{s}") for m, _, s in sized for b in (1, 16) if s == "224"]
    return options


def main():
    options = arguments()
    if not os.access(options.apus, os.X_OK):
        raise Failure(f"{options.apus} is not built; run 'make build' first")
    compiler = os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")
    if options.compile and not compiler:
        print("torch.compile is left out: it needs a C++ compiler (g++ or clang++) and there is none",
              file=sys.stderr)
        options.compile = False
    found = versions(options)
    opening = (
        f"# Apus and its peers\n\n{datetime.datetime.now():%Y-%m-%d %H:%M}, "
        f"{table.machine(options.threads)}.\n"
        + ", ".join(f"{name} {version}" for name, version in found.items())
        + f".\n`scripts/compare.sh {shlex.join(sys.argv[1:])}`\n\n"
        f"Rounds: {options.rounds}, one process with {options.steps} timed steps a contender, "
        "in turn; figures\nare medians. The ratio is the fastest peer's time over ours; that of the "
        "shortest rounds leaves out what\nelse runs on the machine. Memory is "
        "the peak of the process above a bare start: `apus --version`, a peer after\nits imports; "
        "that of torch.compile includes its compiler. Beside our time are its limits: all operations\nof "
        "direct sums at the machine's peak, which other algorithms undercut, and all bytes at its "
        "bandwidth, each\nvalue read or written once an operation.\n")
    _, base = run([options.apus, "--version"])
    rows, problems = {task: [] for task in TASKS}, []
    with tempfile.TemporaryDirectory() as folder:
        for task, model, batch, side in options.cases:
            for precision in options.precision:
                one = Case(task, model, batch, side, precision)
                medians, limit, failures = measure(one, options, folder, base)
                rows[task].append((one, medians, limit))
                problems += [f"{one}: {name}: {text}" for name, text in failures.items()]
    text = opening + "".join("\n" + table.markdown(t, r) for t, r in rows.items() if r)
    if problems:
        text += "\nNot measured:\n\n" + "".join(f"- {problem}\n" for problem in problems)
    print(text)
    pathlib.Path(options.out).write_text(text)
    print(f"written to {options.out}", file=sys.stderr)
    if problems:
        raise Failure(f"{len(problems)} measurements failed")


try:
    main()
except Failure as failure:
    sys.exit(f"compare: {failure}")
except KeyboardInterrupt:
    sys.exit(130)
