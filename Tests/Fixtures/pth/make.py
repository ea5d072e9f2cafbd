"""Writes the PyTorch fixtures beside this file; run it with a Python that has torch."""

import collections
import os
import pathlib
import pickle

import torch

here = pathlib.Path(__file__).parent


def count(*shape):
    n = 1
    for d in shape:
        n *= d
    return torch.arange(n, dtype=torch.float32).reshape(shape) / 4 - 1


def kinds():
    d = collections.OrderedDict()
    d["float32"] = count(2, 3)
    d["float16"] = count(2, 3).half()
    d["bfloat16"] = count(2, 3).bfloat16()
    d["float64"] = count(2, 3).double()
    d["int64"] = torch.tensor([-1, 0, 1 << 40])
    d["int32"] = torch.tensor([-1, 0, 1 << 20], dtype=torch.int32)
    d["int16"] = torch.tensor([-1, 0, 300], dtype=torch.int16)
    d["int8"] = torch.tensor([-1, 0, 100], dtype=torch.int8)
    d["uint8"] = torch.tensor([1, 0, 200], dtype=torch.uint8)
    d["bool"] = torch.tensor([True, False])
    d["scalar"] = torch.tensor(7)
    d["transposed"] = count(2, 3).t()
    d["sliced"] = count(4, 4)[1:3, ::2]
    d["channels_last"] = count(1, 2, 2, 2).to(memory_format=torch.channels_last)
    d["empty"] = torch.zeros(0, 3)
    d["parameter"] = torch.nn.Parameter(count(2))
    return d


def nested():
    d = collections.OrderedDict()
    d["module.conv1.weight"] = count(2, 1, 3, 3)
    d["module.bn1.running_mean"] = count(2)
    d["module.bn1.num_batches_tracked"] = torch.tensor(5)
    d._metadata = {"": {"version": 1}}
    return {
        "epoch": 12,
        "best": 91.5,
        "arch": "tiny",
        "lr": [0.1, 0.01],
        "optimizer": {"state": {0: {"momentum_buffer": count(2)}}, "param_groups": []},
        "state_dict": d,
    }


class Malicious:
    def __reduce__(self):
        return os.system, ("echo this must never run",)


for name, value in [("kinds", kinds()), ("nested", nested()), ("malicious", {"x": Malicious()})]:
    for suffix, zipped in [("zip", True), ("legacy", False)]:
        torch.save(value, here / f"{name}-{suffix}.pth", _use_new_zipfile_serialization=zipped)
(here / "malicious-plain.pth").write_bytes(pickle.dumps({"x": Malicious()}))
torch.save(count(2), here / "tensor-zip.pth")
torch.save(torch.nn.Linear(1, 1), here / "model-zip.pth")
torch.save(nested(), here / "protocol4-zip.pth", pickle_protocol=4)
