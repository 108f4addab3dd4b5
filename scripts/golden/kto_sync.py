"""tests/golden/train_kto_sync.json: KTO runs of TRL whose reference follows the policy, in the record of train_kto.json.

Run with TRL 1.13 from the repository's root: python scripts/golden/kto_sync.py > tests/golden/train_kto_sync.json
One thread, float32, eager attention, no dropout, file order. With the argument "check" it runs kto_batch4 of train_kto.json instead
and prints the largest differences from that file.
"""
import json
import sys
import tempfile

import datasets
import torch
import transformers
import trl

torch.set_num_threads(1)
transformers.logging.set_verbosity_error()
datasets.disable_progress_bars()
FOLDER = "tests/golden"
ROWS = [json.loads(line) for line in open(f"{FOLDER}/kto.jsonl", encoding="utf8")]
SHARED = {
    "per_device_train_batch_size": 4, "learning_rate": 0.0005, "lr_scheduler_type": "linear", "warmup_steps": 2, "weight_decay": 0.01,
    "max_grad_norm": 1.0, "adam_beta1": 0.9, "adam_beta2": 0.999, "adam_epsilon": 1e-8, "max_steps": 6, "gradient_accumulation_steps": 1,
    "loss_type": "kto", "beta": 0.1, "desirable_weight": 1.0, "undesirable_weight": 1.0, "max_length": 1024,
}
SYNC = {"sync_ref_model": True, "ref_model_sync_steps": 2}
VARIANTS = {
    "kto_sync": SYNC,
    "kto_sync_accumulate2": {**SYNC, "ref_model_mixup_alpha": 0.3, "per_device_train_batch_size": 2, "gradient_accumulation_steps": 2, "desirable_weight": 1.5},
    "apo_zero_unpaired_sync": {**SYNC, "ref_model_sync_steps": 1, "loss_type": "apo_zero_unpaired", "warmup_steps": 0},
}


class Recorded(trl.KTOTrainer):
    """Keeps every micro-batch's loss, before the division by the accumulation count."""

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        result = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        self.__dict__.setdefault("losses", []).append(float((result[0] if return_outputs else result).detach()))
        return result


def logps(model, rows):
    """Summed log-probs of each row's completion."""
    sums = []
    with torch.no_grad():
        for row in rows:
            prompt, ids = row["prompt_ids"], row["prompt_ids"] + row["completion_ids"]
            scores = model(input_ids=torch.tensor([ids])).logits[0, :-1].double().log_softmax(-1)
            picked = scores.gather(1, torch.tensor(ids[1:])[:, None])[:, 0]
            sums.append(float(picked[max(len(prompt) - 1, 0):].sum()))
    return sums


def norms(tensors):
    return {name: float(tensor.double().norm()) for name, tensor in tensors.items()}


def parameters(model):
    return {name: tensor.detach().clone() for name, tensor in model.named_parameters()}


def run(**options):
    config = {**SHARED, **options}
    model = transformers.AutoModelForCausalLM.from_pretrained(f"{FOLDER}/tiny-qwen2", dtype=torch.float32, attn_implementation="eager")
    args = trl.KTOConfig(output_dir=tempfile.mkdtemp(), use_cpu=True, bf16=False, gradient_checkpointing=False, report_to=[],
                         save_strategy="no", logging_steps=1, disable_tqdm=True, **config)
    trainer = Recorded(model=model, args=args, train_dataset=datasets.Dataset.from_list(ROWS),
                       processing_class=transformers.AutoTokenizer.from_pretrained(f"{FOLDER}/tiny-qwen2"))
    model.eval()
    start, start_logps = parameters(model), logps(model, trainer.train_dataset)
    trainer.train()
    model.eval()
    end = parameters(model)
    size, parts = config["per_device_train_batch_size"], config["gradient_accumulation_steps"]
    micro = [{"rows": [(i * size + j) % len(ROWS) for j in range(size)], "loss": loss} for i, loss in enumerate(trainer.losses)]
    skip = ("epoch", "step", "runtime", "per_second")
    logs = [entry for entry in trainer.state.log_history if "loss" in entry]
    steps = [
        {"step": entry["step"], "micro_batches": micro[i * parts:(i + 1) * parts],
         **{k: v for k, v in entry.items() if not any(word in k for word in skip)}}
        for i, entry in enumerate(logs)
    ]
    return {
        "config": {**config, "optimizer": "AdamW"}, "rows": "kto.jsonl, file order, no shuffling; each epoch starts again at row 0",
        "start_logps": start_logps, "steps": steps, "final_logps": logps(model, trainer.train_dataset),
        "final_parameter_l2": norms(end), "update_l2": norms({name: end[name] - start[name] for name in end}),
    }


def differences(got, wanted):
    """Largest absolute difference of each logged value."""
    worst = {}
    for ours, theirs in zip(got["steps"], wanted["steps"], strict=True):
        for name, value in theirs.items():
            if name != "micro_batches":
                worst[name] = max(worst.get(name, 0), abs(ours[name] - value))
    for name in ("start_logps", "final_logps"):
        worst[name] = max(abs(a - b) for a, b in zip(got[name], wanted[name], strict=True))
    for name in ("final_parameter_l2", "update_l2"):
        worst[name] = max(abs(got[name][key] - value) for key, value in wanted[name].items())
    return worst


out, sys.stdout = sys.stdout, sys.stderr  # TRL prints logs.
if sys.argv[1:] == ["check"]:
    result = differences(run(max_steps=8), json.load(open(f"{FOLDER}/train_kto.json"))["variants"]["kto_batch4"])
else:
    result = {
        "model": "tiny-qwen2 (all parameters trained)", "reference": "tiny-qwen2 at first; it follows the policy",
        "versions": {"trl": trl.__version__, "transformers": transformers.__version__, "torch": torch.__version__},
        "variants": {name: run(**options) for name, options in VARIANTS.items()},
    }
print(json.dumps(result, indent=1), file=out)
