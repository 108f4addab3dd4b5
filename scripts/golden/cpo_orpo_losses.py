"""Writes tests/golden/cpo_orpo_losses.json: one batch through TRL's experimental CPOTrainer and ORPOTrainer.

Run in the repository root with the libraries of tests/golden/versions.json:

    python scripts/golden/cpo_orpo_losses.py
"""

import json
import math
import os
import sys
import tempfile

os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl.experimental.cpo import CPOConfig, CPOTrainer
from trl.experimental.orpo import ORPOConfig, ORPOTrainer

GOLDEN = "tests/golden"
ROWS = [0, 1, 4, 6, 12, 13]

CPO = {
    "cpo_sigmoid": {},
    "cpo_sigmoid_beta0.5": {"beta": 0.5},
    "cpo_sigmoid_smooth0.2": {"label_smoothing": 0.2},
    "cpo_sigmoid_alpha0": {"cpo_alpha": 0.0},
    "cpo_sigmoid_alpha0.3": {"cpo_alpha": 0.3},
    "cpo_hinge": {"loss_type": "hinge"},
    "cpo_hinge_smooth0.2": {"loss_type": "hinge", "label_smoothing": 0.2},
    "cpo_ipo": {"loss_type": "ipo"},
    "cpo_simpo": {"loss_type": "simpo"},
    "cpo_simpo_paper": {"loss_type": "simpo", "cpo_alpha": 0.0, "beta": 2.0, "simpo_gamma": 1.4},
    "cpo_simpo_smooth0.1": {"loss_type": "simpo", "label_smoothing": 0.1},
    "cpo_alphapo": {"loss_type": "alphapo", "alpha": 0.25, "beta": 2.5, "simpo_gamma": 0.1},
    "cpo_alphapo_negative": {"loss_type": "alphapo", "alpha": -0.25},
    "cpo_sigmoid_reward_alpha0.01": {"alpha": 0.01},
    "cpo_hinge_reward_alpha-0.1": {"loss_type": "hinge", "alpha": -0.1},
    "cpo_ipo_reward_alpha0.5": {"loss_type": "ipo", "alpha": 0.5},
}
ORPO = {"orpo": {}, "orpo_beta0.5": {"beta": 0.5}, "orpo_beta2": {"beta": 2.0}}


def run(name, config_class, trainer_class, options):
    model = AutoModelForCausalLM.from_pretrained(f"{GOLDEN}/policy", dtype=torch.float32, attn_implementation="eager")
    tokenizer = AutoTokenizer.from_pretrained(f"{GOLDEN}/tiny-qwen2")
    with open(f"{GOLDEN}/pairs.jsonl", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    with tempfile.TemporaryDirectory() as folder:
        args = config_class(
            output_dir=folder, bf16=False, use_cpu=True, report_to="none", gradient_checkpointing=False,
            per_device_train_batch_size=len(ROWS), **options,
        )
        trainer = trainer_class(
            model=model, args=args, train_dataset=Dataset.from_list([rows[i] for i in ROWS]), processing_class=tokenizer
        )
        batch = trainer.data_collator([trainer.train_dataset[i] for i in range(len(ROWS))])
    check_tokens(trainer.train_dataset)
    model.eval()
    loss, metrics = trainer.get_batch_loss_metrics(model, batch)
    loss.backward()
    with torch.no_grad():
        forward = trainer.concatenated_forward(model, batch)
    norms = {key: parameter.grad.norm().item() for key, parameter in model.named_parameters()}
    return {
        "name": name,
        "trainer": trainer_class.__name__,
        "config": options,
        "policy_logps": {"chosen": forward[0].tolist(), "rejected": forward[1].tolist()},
        "loss": loss.item(),
        "metrics": metrics,
        "grad_norm": torch.cat([parameter.grad.flatten() for parameter in model.parameters()]).double().norm().item(),
        "grad_norm_per_parameter": norms,
    }


def check_tokens(dataset):
    """These rows are tokenised as by DPOTrainer: only the losses are compared."""
    with open(f"{GOLDEN}/tokenized_pairs.json", encoding="utf-8") as file:
        known = json.load(file)["cases"][0]["rows"]
    for i, row in zip(ROWS, dataset):
        prompt = known[i]["prompt_ids"]
        for side in ["chosen", "rejected"]:
            assert row[f"{side}_input_ids"] == prompt + known[i][f"{side}_ids"], (i, side)
            assert row[f"{side}_labels"] == [-100] * len(prompt) + known[i][f"{side}_ids"], (i, side)


def numbers(value):
    """AlphaPO of summed log-probs overflows in TRL: null stands for what is no finite number."""
    if isinstance(value, dict):
        return {key: numbers(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [numbers(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    cases = [run(name, CPOConfig, CPOTrainer, options) for name, options in CPO.items()]
    cases += [run(name, ORPOConfig, ORPOTrainer, options) for name, options in ORPO.items()]
    result = {
        "policy": "policy/",
        "rows": ROWS,
        "note": "TRL experimental CPOTrainer and ORPOTrainer, get_batch_loss_metrics on one batch, float32, one thread",
        "cases": cases,
    }
    with open(f"{GOLDEN}/cpo_orpo_losses.json", "w", encoding="utf-8") as file:
        json.dump(numbers(result), file, indent=1, allow_nan=False)
        file.write("\n")
    for case in cases:
        print(case["name"], case["loss"], case["grad_norm"], file=sys.stderr)


main()
