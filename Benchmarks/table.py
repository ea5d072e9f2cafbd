"""The tables of a comparison as Markdown."""
import os

TITLES = {"train": "Training step", "infer": "Inference"}


def row(case, names, medians, limit):
    def text(name):
        return f"{medians[name][0]:.1f}" if name in medians else "-"

    peers = [name for name in names if name in medians]
    best = min(peers, key=lambda name: medians[name][0], default=None)
    both = "apus" in medians and best is not None
    shortest = min((medians[name][2] for name in peers), default=0)
    return [
        case.model, str(case.batch), str(case.side), case.precision, text("apus"),
        f"{limit.operations_ms:.1f}" if "apus" in medians else "-",
        f"{limit.bytes_ms:.1f}" if "apus" in medians else "-",
        *map(text, names),
        f"{medians[best][0] / medians['apus'][0]:.2f}" if both else "-",
        f"{shortest / medians['apus'][2]:.2f}" if both else "-",
        best or "-",
        f"{medians['apus'][1]:.0f}" if "apus" in medians else "-",
        f"{medians[best][1]:.0f}" if best else "-"]


def markdown(task, rows):
    names = []
    for case, *_ in rows:
        for name in case.contenders(True):
            if name not in names and any(name in medians for _, medians, _ in rows):
                names.append(name)
    header = ["model", "batch", "side", "precision", "Apus ms", "operations ms", "bytes ms",
              *(f"{n} ms" for n in names),
              "ratio", "of shortest", "best peer", "Apus MiB", "best peer MiB"]
    lines = [header, ["---", *["---:"] * 2, "---", *["---:"] * (len(names) + 5), "---",
                      "---:", "---:"]]
    lines += [row(case, names, *measured) for case, *measured in rows]
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"## {TITLES[task]}\n\n{text}\n{speeds(rows)}"


def speeds(rows):
    """What the limits were computed from."""
    limits = {}
    for case, _, limit in rows:
        if limit.gflops:
            limits.setdefault(case.precision, []).append(limit)
    if not limits:
        return ""
    peaks = [f"{max(one.gflops for one in found):.0f} GFLOP/s in {precision}"
             for precision, found in limits.items()]
    bandwidth = max(one.bandwidth for found in limits.values() for one in found)
    return f"\nThe machine meanwhile: {', '.join(peaks)}, {bandwidth:.1f} GB/s.\n"


def machine(threads):
    with open("/proc/cpuinfo") as file:
        found = [line.split(":")[1].strip() for line in file if line.startswith("model name")]
    load = os.getloadavg()[0]
    name = found[0] if found else os.uname().machine
    return f"{name}, {threads} threads, Linux {os.uname().release}, load {load:.1f} at the start"
