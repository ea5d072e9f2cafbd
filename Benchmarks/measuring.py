"""Measures contenders, each in a process of its own."""
import dataclasses
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
READS_ONNX = ("onnxruntime", "openvino")


class Failure(Exception):
    """One line for the user."""


@dataclasses.dataclass(frozen=True)
class Case:
    task: str
    model: str
    batch: int
    side: int
    precision: str

    def contenders(self, compiles):
        names = ["eager", "channels-last"] + (["compile"] if compiles else [])
        if self.task == "infer":
            # ONNX Runtime's CPU provider does not compute in bf16.
            names += ["onnxruntime"] if self.precision == "fp32" else []
            names += ["openvino"]
        return names

    def __str__(self):
        return f"{self.task} {self.model}, batch {self.batch}, {self.side}, {self.precision}"


def run(command):
    """The last JSON line a process prints, and the most memory it held, in MiB."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        try:
            process = subprocess.Popen(command, stdout=out, stderr=err)
        except OSError as error:
            raise Failure(f"{command[0]}: {error.strerror}") from None
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        lines, errors = out.read().splitlines(), err.read().strip().splitlines()
    if process.returncode != 0:
        # A signal leaves no message; out of memory is the usual one.
        raise Failure(errors[-1] if errors else f"ended with status {process.returncode}")
    found = [line for line in lines if line.startswith("{")]
    return json.loads(found[-1]) if found else {}, usage.ru_maxrss / 1024


def versions(options):
    """Versions of the packages the peers need; a Failure that names those missing."""
    tasks = {task for task, *_ in options.cases}
    names = ["torch", "torchvision"]
    if "infer" in tasks:
        names += ["onnx", "onnxscript", "onnxruntime", "openvino"]
    probe = (
        "import importlib.metadata as m, importlib.util as u, json\n"
        f"print(json.dumps({{n: m.version(n) if u.find_spec(n) else None for n in {names}}}))")
    found, _ = run([options.python, "-c", probe])
    missing = [name for name in names if not found.get(name)]
    if missing:
        raise Failure(
            f"{options.python} lacks {', '.join(missing)}; install with '{options.python} -m pip "
            "install ...' or name another Python with --python or $PEER_PYTHON")
    return found


@dataclasses.dataclass
class Limit:
    """What the machine could do at most, by the fastest of all rounds, beside what our step has to do."""
    gflops: float = 0
    bandwidth: float = 0
    operations: float = 0
    gigabytes: float = 0

    def update(self, speed, precision, result):
        peak = speed["float32_gflops" if precision == "fp32" else "bfloat16_gflops"]
        self.gflops = max(self.gflops, peak)
        self.bandwidth = max(self.bandwidth, speed["bandwidth_gb_per_s"])
        self.operations = result["giga_operations"]
        self.gigabytes = result["gigabytes"]

    @property
    def operations_ms(self):
        return 1000 * self.operations / self.gflops

    @property
    def bytes_ms(self):
        return 1000 * self.gigabytes / self.bandwidth


def measure(case, options, folder, base):
    """Time, memory and the shortest round's time of every contender by name, our limit, and what failed."""
    size = ["--batch", str(case.batch), "--side", str(case.side)]
    ours = [options.apus, "bench", case.task, "--model", case.model, *size, "--precision",
            case.precision, "--steps", str(options.steps), "--threads", str(options.threads),
            "--json"]
    names = ["apus"] + case.contenders(options.compile)
    peer = [options.python, str(HERE / "peer.py")]
    described = [case.model, str(case.batch), str(case.side)]
    file = str(pathlib.Path(folder) / f"{case.model}-{case.batch}-{case.side}.onnx")
    speed = [options.apus, "doctor", "--threads", str(options.threads), "--json"]
    results, failures, limit = {name: [] for name in names}, {}, Limit()
    if case.task == "infer" and not os.path.exists(file):
        try:
            run(peer + ["export", "-", *described, "-", "-", "-", file])
        except Failure as failure:
            failures = {name: str(failure) for name in names if name in READS_ONNX}
    for number in range(options.rounds):
        for name in names:
            if name in failures:
                continue
            try:
                if name == "apus":
                    result, peak = run(ours)
                    limit.update(run(speed)[0], case.precision, result)
                    results[name].append((result["median_ms"], peak - base))
                else:
                    command = peer + [case.task, name, *described, case.precision,
                                      str(options.steps), str(options.threads), file]
                    result, _ = run(command)
                    results[name].append((result["median_ms"], result["memory_mib"]))
                figure = f"{results[name][-1][0]:.1f} ms"
            except (Failure, KeyError) as failure:
                failures[name] = str(failure)
                figure = f"failed: {failure}"
            print(f"{case}, round {number + 1}: {name} {figure}", file=sys.stderr, flush=True)
    medians = {
        name: (*(statistics.median(column) for column in zip(*figures)),
               min(time for time, _ in figures))
        for name, figures in results.items() if figures and name not in failures}
    return medians, limit, failures
