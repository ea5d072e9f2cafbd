"""Times one peer in this process and prints one JSON line.

    peer.py train|infer CONTENDER MODEL BATCH SIDE PRECISION STEPS THREADS [ONNX-FILE]
    peer.py export - MODEL BATCH SIDE - - - ONNX-FILE

Contenders: eager, channels-last, compile; for infer also onnxruntime and openvino, which read the
file that `export` writes. Memory is what the process gained after its imports.
"""
import json
import resource
import statistics
import sys
import time
import warnings

warnings.filterwarnings("ignore")


def peak_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(step, steps, base):
    """Runs twice for nothing, as `apus bench` does, then `steps` times."""
    for _ in range(2):
        step()
    times = []
    for _ in range(steps):
        start = time.perf_counter()
        step()
        times.append(1000 * (time.perf_counter() - start))
    result = {"median_ms": statistics.median(times), "memory_mib": peak_mib() - base}
    print(json.dumps(result))


def prepared(contender, name, batch, side, threads):
    """PyTorch's model, its images and what is called: the model itself or a compiled one."""
    import torch

    import peer_models

    base = peak_mib()
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    model, classes = peer_models.model(name)
    x = peer_models.images(batch, side)
    if contender != "eager":
        model = model.to(memory_format=torch.channels_last)
        x = x.contiguous(memory_format=torch.channels_last)
    call = torch.compile(model) if contender == "compile" else model
    return base, model, call, x, classes


def train(contender, name, batch, side, precision, steps, threads):
    import torch

    base, model, call, x, classes = prepared(contender, name, batch, side, threads)
    labels = torch.randint(0, classes, (batch,))
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    criterion = torch.nn.CrossEntropyLoss()

    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
            loss = criterion(call(x), labels)
        loss.backward()
        optimizer.step()

    measure(step, steps, base)


def infer(contender, name, batch, side, precision, steps, threads, file):
    if contender == "onnxruntime":
        return infer_onnxruntime(file, batch, side, steps, threads)
    if contender == "openvino":
        return infer_openvino(file, batch, side, precision, steps, threads)
    import torch

    base, model, call, x, _ = prepared(contender, name, batch, side, threads)
    model.eval()

    def step():
        with torch.inference_mode():
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
                call(x)

    measure(step, steps, base)


def infer_onnxruntime(file, batch, side, steps, threads):
    import numpy
    import onnxruntime

    base = peak_mib()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    x = numpy.random.default_rng(0).standard_normal((batch, 3, side, side), dtype="float32")
    feed = {session.get_inputs()[0].name: x}
    measure(lambda: session.run(None, feed), steps, base)


def infer_openvino(file, batch, side, precision, steps, threads):
    import numpy
    import openvino

    base = peak_mib()
    settings = {
        "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
    }
    request = openvino.Core().compile_model(file, "CPU", settings).create_infer_request()
    x = numpy.random.default_rng(0).standard_normal((batch, 3, side, side), dtype="float32")
    measure(lambda: request.infer([x], share_inputs=True), steps, base)


def export(name, batch, side, file):
    import torch

    import peer_models

    torch.manual_seed(0)
    model, _ = peer_models.model(name)
    torch.onnx.export(model.eval(), (peer_models.images(batch, side),), file)


def main():
    task, contender, name, batch, side, precision, steps, threads, *rest = sys.argv[1:]
    batch, side = int(batch), int(side)
    if task == "export":
        export(name, batch, side, rest[0])
    elif task == "train":
        train(contender, name, batch, side, precision, int(steps), int(threads))
    else:
        file = rest[0] if rest else None
        infer(contender, name, batch, side, precision, int(steps), int(threads), file)


main()
