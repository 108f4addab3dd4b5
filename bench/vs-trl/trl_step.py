"""Times TRL's DPO steps on given token ids and prints one JSON object a line.

    python trl_step.py REQUEST.json

REQUEST, as TrlRequest in requests.ts: model (folder), rows ([{prompt_ids, chosen_ids, rejected_ids}]), steps, threads, lora_r (null for
full weights), per_device_train_batch_size, gradient_accumulation_steps, attn_implementation, gradient_checkpointing,
precompute_ref_log_probs, defaults (true: the four before it are left as TRL has them), folder (for what TRL writes).
{"step": seconds}           after each optimizer step
{"log": {…}}                what TRL logs of it
{"done": {versions, begin_seconds, reference_seconds, peak_bytes}}
"""
import time

STARTED = time.perf_counter()

import json
import resource
import sys

lines, sys.stdout = sys.stdout, sys.stderr


def emit(**event):
    lines.write(json.dumps(event) + "\n")
    lines.flush()


request = json.load(open(sys.argv[1], encoding="utf8"))

import datasets
import peft
import torch
import transformers
import trl

torch.set_num_threads(request["threads"])
transformers.logging.set_verbosity_error()
datasets.disable_progress_bars()


class OnTokenIds(trl.DPOTrainer):
    """Takes rows that are tokenised already, in their order."""

    def _prepare_dataset(self, dataset, *_):
        return dataset

    def _get_train_sampler(self, dataset=None):
        return torch.utils.data.SequentialSampler(dataset if dataset is not None else self.train_dataset)


class Clock(transformers.TrainerCallback):
    begin_seconds = None

    def on_step_begin(self, *_, **__):
        self.started = time.perf_counter()
        if self.begin_seconds is None:
            self.begin_seconds = self.started - STARTED

    def on_step_end(self, *_, **__):
        emit(step=time.perf_counter() - self.started)

    def on_log(self, *_, logs=None, **__):
        emit(log={name: float(value) for name, value in (logs or {}).items()})


def tokenizer():
    """TRL asks for one; the rows do not need it."""
    from tokenizers import Tokenizer, models

    core = Tokenizer(models.WordLevel({"<pad>": 0}, unk_token="<pad>"))
    return transformers.PreTrainedTokenizerFast(tokenizer_object=core, pad_token="<pad>", eos_token="<pad>")


def main():
    chosen = {} if request["defaults"] else {name: request[name] for name in ("gradient_checkpointing", "precompute_ref_log_probs")}
    attention = {} if request["defaults"] else {"attn_implementation": request["attn_implementation"]}
    model = transformers.AutoModelForCausalLM.from_pretrained(request["model"], dtype=torch.float32, **attention)
    rank = request["lora_r"]
    lora = None
    if rank is not None:
        lora = peft.LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    # bf16 is TRL's default and much slower on a CPU.
    args = trl.DPOConfig(
        output_dir=request["folder"], use_cpu=True, bf16=False, fp16=False, report_to=[], disable_tqdm=True, save_strategy="no",
        logging_steps=1, max_length=None, learning_rate=1e-6, max_steps=request["steps"], remove_unused_columns=False,
        per_device_train_batch_size=request["per_device_train_batch_size"],
        gradient_accumulation_steps=request["gradient_accumulation_steps"], **chosen,
    )
    started = time.perf_counter()
    clock = Clock()
    trainer = OnTokenIds(
        model=model, args=args, train_dataset=datasets.Dataset.from_list(request["rows"]), processing_class=tokenizer(),
        peft_config=lora, callbacks=[clock],
    )
    reference_seconds = time.perf_counter() - started
    trainer.remove_callback(transformers.PrinterCallback)
    trainer.train()
    emit(done={
        "versions": {
            "python": sys.version.split()[0], "torch": torch.__version__, "transformers": transformers.__version__,
            "trl": trl.__version__, "peft": peft.__version__,
        },
        "begin_seconds": clock.begin_seconds,
        "reference_seconds": reference_seconds,
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024),
    })


main()
