"""SimCLR by lightly and PyTorch on a folder of class folders, with Apus's recipe for small images: the
peer of `apus pretrain`. Prints a JSON object an epoch; the encoder goes to OUT for `apus probe`. The same
command goes on behind the last whole epoch, whose state is in OUT.state.

    lightly_simclr.py train/ --model resnet20-cifar --epochs 20 --out encoder.pth
"""
import argparse
import json
import math
import os
import statistics
import time

import torch
import torchvision
from lightly.data import LightlyDataset
from lightly.loss import NTXentLoss
from lightly.transforms import SimCLRTransform
from torch import nn
from torchvision.transforms import v2

import peer_models

IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("--model", default="resnet20-cifar")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--steps", type=int, help="stop after so many, to time them")
    parser.add_argument("--temperature", type=float, default=0.5)
    parser.add_argument("--lr", type=float, default=0.12)
    parser.add_argument("--weight-decay", type=float, default=5e-4)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--every", type=int, default=1, help="epochs between two probes")
    parser.add_argument("--out", help="where the encoder's weights go")
    return parser.parse_args()


def without_classifier(network):
    name = "linear" if hasattr(network, "linear") else "fc"
    classifier = getattr(network, name)
    setattr(network, name, nn.Identity())
    # Probes look at what comes before it, but a file of weights is that of a whole network.
    unused = {
        f"{name}.{part}": torch.zeros_like(value)
        for part, value in classifier.state_dict().items()
    }
    return network, classifier.in_features, unused


def probes(encoder, folder):
    """Accuracy of nearest neighbors and of logistic regression on 5,000 training images, of which a
    fifth is measured on: what `--online knn,linear` of `apus pretrain` does."""
    to_tensor = v2.Compose(
        [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(**IMAGENET)]
    )
    labelled = torchvision.datasets.ImageFolder(folder, to_tensor)
    drawn = torch.randperm(len(labelled), generator=torch.Generator().manual_seed(0))[:5000]
    loader = torch.utils.data.DataLoader(torch.utils.data.Subset(labelled, drawn.tolist()), 250)
    encoder.eval()
    with torch.no_grad():
        parts = [(encoder(images), labels) for images, labels in loader]
    encoder.train()
    features = torch.cat([part[0] for part in parts])
    labels = torch.cat([part[1] for part in parts])
    known, asked = features[:4000], features[4000:]
    classes = len(labelled.classes)

    similar, nearest = (
        nn.functional.normalize(asked) @ nn.functional.normalize(known).T
    ).topk(200)
    votes = nn.functional.one_hot(labels[:4000], classes)[nearest] * (similar / 0.07).exp()[..., None]
    neighbors = (votes.sum(1).argmax(1) == labels[4000:]).float().mean().item()

    mean, deviation = known.mean(0), known.std(0) + 1e-6
    known, asked = (known - mean) / deviation, (asked - mean) / deviation
    classifier = nn.Linear(known.shape[1], classes)
    optimizer = torch.optim.LBFGS(classifier.parameters(), max_iter=200)

    def loss():
        optimizer.zero_grad()
        value = nn.functional.cross_entropy(classifier(known), labels[:4000])
        value = value + classifier.weight.square().sum() / (2 * len(known))
        value.backward()
        return value

    optimizer.step(loss)
    linear = (classifier(asked).argmax(1) == labels[4000:]).float().mean().item()
    return {"knn": neighbors, "linear": linear}


def main():
    options = arguments()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    encoder, width, unused = without_classifier(peer_models.model(options.model)[0])
    head = nn.Sequential(
        nn.Linear(width, 512, bias=False), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, 128)
    )
    views = SimCLRTransform(input_size=32, cj_strength=0.5, gaussian_blur=0.0, normalize=IMAGENET)
    loader = torch.utils.data.DataLoader(
        LightlyDataset(options.data, transform=views),
        batch_size=options.batch,
        shuffle=True,
        drop_last=True,
        num_workers=options.workers,
        persistent_workers=options.workers > 0,
    )
    criterion = NTXentLoss(temperature=options.temperature)
    parameters = [*encoder.parameters(), *head.parameters()]
    optimizer = torch.optim.SGD(
        [
            {"params": [p for p in parameters if p.dim() > 1]},
            {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0},
        ],
        lr=options.lr,
        momentum=0.9,
        weight_decay=options.weight_decay,
    )
    steps = options.epochs * len(loader)
    warmup = min(0.1 * options.epochs, 10) * len(loader)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: (step + 1) / warmup
        if step < warmup
        else (1 + math.cos(math.pi * (step - warmup) / (steps - warmup))) / 2,
    )
    parts = {"encoder": encoder, "head": head, "optimizer": optimizer, "schedule": schedule}
    step = done = 0
    state = f"{options.out}.state"
    if options.out and os.path.exists(state):
        saved = torch.load(state)
        for name, part in parts.items():
            part.load_state_dict(saved[name])
        done = saved["epochs"]
    for epoch in range(done, options.epochs):
        torch.manual_seed(epoch)
        began, losses, times = time.perf_counter(), [], []
        for batch in loader:
            first, second = batch[0]
            represented = encoder(torch.cat([first, second]))
            a, b = head(represented).chunk(2)
            loss = criterion(a, b)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
            times.append(time.perf_counter())
            step += 1
            if step == options.steps:
                # The first steps start the workers.
                spans = [b - a for a, b in zip(times[2:], times[3:])]
                print(json.dumps({
                    "images_per_second": options.batch / statistics.mean(spans),
                    "median_images_per_second": options.batch / statistics.median(spans),
                    "steps": step,
                }))
                return
        seconds = time.perf_counter() - began
        line = {
            "epoch": epoch + 1,
            "loss": sum(losses) / len(losses),
            "images_per_second": len(losses) * options.batch / seconds,
        }
        if (epoch + 1) % options.every == 0 or epoch + 1 == options.epochs:
            line.update(probes(encoder, options.data))
        print(json.dumps(line), flush=True)
        if options.out:
            torch.save({**encoder.state_dict(), **unused}, options.out)
            saved = {name: part.state_dict() for name, part in parts.items()}
            torch.save({**saved, "epochs": epoch + 1}, f"{state}.new")
            os.replace(f"{state}.new", state)


if __name__ == "__main__":
    main()
