"""tests/golden/sft_evaluate.json: what TRL logs for packed rows in training, and for evaluation, of the golden model and rows.

Run with TRL 1.13 from the repository's root: python scripts/golden/sft_evaluate.py > tests/golden/sft_evaluate.json
One thread, float32, no dropout, no shuffling. No flash attention: transformers tells packed rows apart by their positions.
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


def rows(group):
    all_rows = [json.loads(line) for line in open(f"{FOLDER}/sft.jsonl", encoding="utf8")]
    return datasets.Dataset.from_list([{k: v for k, v in row.items() if k != "group"} for row in all_rows if row["group"] == group])


class Ordered(trl.SFTTrainer):
    def _get_train_sampler(self, dataset=None):
        return torch.utils.data.SequentialSampler(dataset if dataset is not None else self.train_dataset)


def case(group, **options):
    model = transformers.AutoModelForCausalLM.from_pretrained(f"{FOLDER}/tiny-qwen2", dtype=torch.float32, attn_implementation="eager")
    args = trl.SFTConfig(
        output_dir=tempfile.mkdtemp(), use_cpu=True, bf16=False, gradient_checkpointing=False, report_to=[], save_strategy="no",
        per_device_train_batch_size=2, per_device_eval_batch_size=3, gradient_accumulation_steps=2, max_steps=3, learning_rate=1e-3,
        logging_steps=1, eval_strategy="steps", eval_steps=3, eval_on_start=True, disable_tqdm=True, **options,
    )
    trainer = Ordered(model=model, args=args, train_dataset=rows(group), eval_dataset=rows(group),
                      processing_class=transformers.AutoTokenizer.from_pretrained(f"{FOLDER}/tiny-qwen2"))
    trainer.train()
    times = ("runtime", "per_second")
    log = [{k: v for k, v in entry.items() if not any(t in k for t in times)} for entry in trainer.state.log_history if "train_loss" not in entry]
    return {"group": group, "options": options, "packed_rows": len(trainer.train_dataset), "log": log}


class Quiet:
    """TRL prints logs to stdout."""
    def __enter__(self):
        self.out, sys.stdout = sys.stdout, sys.stderr
    def __exit__(self, *_):
        sys.stdout = self.out


with Quiet():
    cases = [
        case("text"),
        case("prompt_completion"),
        case("prompt_completion", loss_type="dft"),
        case("text", packing=True, max_length=24),
        case("prompt_completion", packing=True, max_length=32),
        case("prompt_completion", packing=True, max_length=16, packing_strategy="bfd_split"),
        case("text", packing=True, max_length=24, packing_strategy="wrapped"),
        case("prompt_completion", packing=True, max_length=32, eval_packing=False, loss_type="dft"),
    ]
print(json.dumps({"model": "tiny-qwen2 (all parameters trained)", "versions": {"trl": trl.__version__, "transformers": transformers.__version__},
                  "cases": cases}, indent=1))
