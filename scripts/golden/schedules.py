"""Writes tests/golden/schedules.json: the learning rates of transformers' schedulers.

Usage: python scripts/golden/schedules.py OUTPUT   (torch 2.13, transformers 5.18)

Each case: scheduler, kwargs, peak, warmup and total steps. `rates` are those of steps 0, 1, … as an optimizer would use them. Cases with
`metrics` are told one metric after each step.
"""

import json
import math
import sys

import torch
import transformers
from transformers import get_scheduler

STEP_CASES = [
    ("linear", {}),
    ("constant", {}),
    ("constant_with_warmup", {}),
    ("cosine", {}),
    ("cosine", {"num_cycles": 1.5}),
    ("cosine_with_restarts", {}),
    ("cosine_with_restarts", {"num_cycles": 3}),
    ("polynomial", {}),
    ("polynomial", {"power": 2.5, "lr_end": 3e-6}),
    ("inverse_sqrt", {}),
    ("inverse_sqrt", {"timescale": 20}),
    ("cosine_with_min_lr", {"min_lr": 1e-5}),
    ("cosine_with_min_lr", {"min_lr_rate": 0.25, "num_cycles": 1}),
    ("cosine_warmup_with_min_lr", {"min_lr": 1e-5}),
    ("cosine_warmup_with_min_lr", {"min_lr_rate": 0.1, "warmup_lr_rate": 0.05}),
    ("warmup_stable_decay", {"num_decay_steps": 10}),
    ("warmup_stable_decay", {"num_decay_steps": 12, "min_lr_ratio": 0.1, "decay_type": "linear", "warmup_type": "cosine"}),
    ("warmup_stable_decay", {"num_decay_steps": 12, "num_stable_steps": 9, "decay_type": "1-sqrt", "warmup_type": "1-sqrt"}),
    ("warmup_stable_decay", {"num_decay_steps": 30, "num_cycles": 1.5}),
]
PLACES = [(3e-4, 0, 40), (3e-4, 7, 40), (2e-5, 1, 25)]

# Falls, stays, rises and falls again; every value is written in full.
FALLING = [1 / (1 + 0.3 * i) for i in range(12)]
FLAT = [FALLING[-1] + 0.01 * math.sin(3 * i) for i in range(18)]
METRICS = FALLING + FLAT + [0.2 - 0.004 * i for i in range(20)] + [0.5] * 12

METRIC_CASES = [
    ("reduce_lr_on_plateau", {"patience": 2}, 1e-3),
    ("reduce_lr_on_plateau", {"patience": 1, "factor": 0.5, "cooldown": 3, "min_lr": 1e-5}, 1e-3),
    ("reduce_lr_on_plateau", {"patience": 0, "factor": 0.7, "mode": "max", "threshold": 0.01, "threshold_mode": "abs"}, 2e-2),
    ("reduce_lr_on_plateau", {"patience": 0, "factor": 0.7, "mode": "max", "threshold": 0.05}, 2e-2),
    ("reduce_lr_on_plateau", {"patience": 0, "factor": 0.1, "threshold": 0.02, "threshold_mode": "abs", "eps": 1e-5}, 1e-3),
    ("greedy", {"patience": 1}, 2e-3),
    ("greedy", {"patience": 0, "factor": 0.8, "min_lr": 1e-4, "max_lr": 3e-3, "cooldown": 2, "warmup": 1}, 1e-3),
    ("greedy", {"patience": 0, "factor": 0.6, "min_lr": 5e-4, "max_lr": 1e-2, "reset_start": 3, "mode": "max"}, 1e-3),
    ("greedy", {"patience": 1, "factor": 0.9, "min_lr": 1e-5, "smooth": True, "window_size": 4, "threshold_mode": "rel"}, 1e-3),
    ("greedy", {"patience": 0, "factor": 0.5, "min_lr": 4e-4, "smooth": True, "window_size": 3, "reset_start": 2}, 1e-3),
]


def scheduler(name, kwargs, peak, warmup, total):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=peak)
    made = get_scheduler(name, optimizer, num_warmup_steps=warmup, num_training_steps=total, scheduler_specific_kwargs=dict(kwargs))
    return optimizer, made


def step_case(name, kwargs, peak, warmup, total):
    optimizer, made = scheduler(name, kwargs, peak, warmup, total)
    rates = []
    # Two steps beyond the end, too.
    for _ in range(total + 3):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        made.step()
    return {"name": name, "kwargs": kwargs, "peak": peak, "warmup": warmup, "total": total, "rates": rates}


def metric_case(name, kwargs, peak):
    optimizer, made = scheduler(name, kwargs, peak, 5, len(METRICS))
    rates = []
    for metric in METRICS:
        rates.append(optimizer.param_groups[0]["lr"])
        made.step(metric)
    rates.append(optimizer.param_groups[0]["lr"])
    return {"name": name, "kwargs": kwargs, "peak": peak, "warmup": 5, "total": len(METRICS), "metrics": METRICS, "rates": rates}


cases = [step_case(name, kwargs, *place) for name, kwargs in STEP_CASES for place in PLACES]
cases += [metric_case(*case) for case in METRIC_CASES]
versions = {"torch": torch.__version__, "transformers": transformers.__version__}
with open(sys.argv[1], "w") as file:
    json.dump({"versions": versions, "cases": cases}, file, separators=(",", ":"))
    file.write("\n")
