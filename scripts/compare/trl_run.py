"""Trains with TRL what compare-with-trl.ts asks for and prints one JSON object a line.

    python trl_run.py REQUEST.json

{"missing": {name: reason}}            and exit code 3, when a library cannot be imported
{"log": {step, loss, ...}}             what TRL logs after each step
{"done": {versions, step_seconds, train_seconds, peak_bytes}}

One process on the CPU in float32, rows in the order of the file. Numbers that JSON lacks are written as the texts NaN, Infinity, -Infinity.
"""
import importlib
import json
import math
import sys
import time

# Libraries print to stdout too; the lines of JSON are kept apart.
lines, sys.stdout = sys.stdout, sys.stderr


def emit(**event):
    lines.write(json.dumps(event, allow_nan=False) + "\n")
    lines.flush()


def plain(value):
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


request = json.load(open(sys.argv[1], encoding="utf8"))
missing, library = {}, {}
for name in request["libraries"]:
    try:
        library[name] = importlib.import_module(name)
    except Exception as error:
        missing[name] = f"{type(error).__name__}: {error}"
if not missing:
    try:
        # TRL imports its trainers only when they are asked for.
        Trainer = getattr(library["trl"], f"{request['method'].upper()}Trainer")
        Config = getattr(library["trl"], f"{request['method'].upper()}Config")
    except Exception as error:
        missing["trl"] = f"{type(error).__name__}: {error}"
if missing:
    emit(missing=missing)
    sys.exit(3)

torch, transformers, peft, datasets = (library[name] for name in ("torch", "transformers", "peft", "datasets"))
torch.set_num_threads(request["threads"])
transformers.logging.set_verbosity_error()
datasets.disable_progress_bars()


class InOrder(Trainer):
    def _get_train_sampler(self, dataset=None):
        return torch.utils.data.SequentialSampler(dataset if dataset is not None else self.train_dataset)


class Lines(transformers.TrainerCallback):
    def __init__(self):
        self.seconds = []

    def on_step_begin(self, *_, **__):
        self.started = time.perf_counter()

    def on_step_end(self, *_, **__):
        self.seconds.append(time.perf_counter() - self.started)

    def on_log(self, _, state, __, logs=None, **___):
        if "loss" in logs:
            emit(log={**{name: plain(value) for name, value in logs.items()}, "step": state.global_step})


def peak_bytes():
    try:
        import resource
    except ImportError:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main():
    model = transformers.AutoModelForCausalLM.from_pretrained(
        request["model"], dtype=torch.float32, attn_implementation=request["attn_implementation"]
    )
    if request["adapter"] is not None:
        model = peft.PeftModel.from_pretrained(model, request["adapter"], is_trainable=True)
    with open(request["rows"], encoding="utf8") as file:
        rows = datasets.Dataset.from_list([json.loads(line) for line in file])
    args = Config(
        **request["options"], output_dir=request["output_dir"], use_cpu=True, bf16=False, fp16=False, report_to=[], disable_tqdm=True,
        save_strategy="no",
    )
    callback = Lines()
    trainer = InOrder(
        model=model, args=args, train_dataset=rows, callbacks=[callback],
        processing_class=transformers.AutoTokenizer.from_pretrained(request["model"]),
    )
    trainer.remove_callback(transformers.PrinterCallback)
    started = time.perf_counter()
    trainer.train()
    emit(done={
        "versions": {"python": sys.version.split()[0], **{name: module.__version__ for name, module in library.items()}},
        "step_seconds": callback.seconds,
        "train_seconds": time.perf_counter() - started,
        "peak_bytes": peak_bytes(),
    })


main()
