"""Writes tests/golden/optimizers.json: some numbers updated by torch's optimizers, step by step.

Usage: python scripts/golden/optimizers.py OUTPUT   (torch 2.13)

Computed in float64. `values` are the parameters after each step; `gradients` and `rates` what each step was given.
"""

import json
import math
import sys

import torch

START = [1.5, -0.75, 0.01, -20.0, 0.0, 3e-3]
STEPS = 12
GRADIENTS = [[math.sin(1 + 3 * i + 7 * j) * 10 ** (j - 3) for j in range(len(START))] for i in range(STEPS)]
RATES = [0.05 * (1 - i / 20) for i in range(STEPS)]

CASES = [
    ("sgd", "", 0.0, {}),
    ("sgd", "", 0.1, {}),
    ("sgd", "momentum=0.9", 0.05, {"momentum": 0.9}),
    ("sgd", "momentum=0.8, dampening=0.3", 0.0, {"momentum": 0.8, "dampening": 0.3}),
    ("sgd", "momentum=0.9,nesterov=True", 0.05, {"momentum": 0.9, "nesterov": True}),
    ("adamw_torch", "", 0.1, {"betas": (0.9, 0.999), "eps": 1e-8}),
]


def case(name, optim_args, weight_decay, options):
    parameter = torch.nn.Parameter(torch.tensor(START, dtype=torch.float64))
    kind = {"sgd": torch.optim.SGD, "adamw_torch": torch.optim.AdamW}[name]
    optimizer = kind([parameter], lr=1.0, weight_decay=weight_decay, **options)
    values = []
    for gradient, rate in zip(GRADIENTS, RATES):
        optimizer.param_groups[0]["lr"] = rate
        parameter.grad = torch.tensor(gradient, dtype=torch.float64)
        optimizer.step()
        values.append(parameter.tolist())
    return {"optim": name, "optim_args": optim_args, "weight_decay": weight_decay, "values": values}


result = {"torch": torch.__version__, "start": START, "gradients": GRADIENTS, "rates": RATES, "cases": [case(*one) for one in CASES]}
with open(sys.argv[1], "w") as file:
    json.dump(result, file, separators=(",", ":"))
    file.write("\n")
