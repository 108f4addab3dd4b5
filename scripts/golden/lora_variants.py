"""Golden numbers for the variants of LoRA, computed by PEFT on tests/golden/tiny-qwen2.

    python scripts/golden/lora_variants.py

writes tests/golden/lora_variants.json (configurations as PEFT saves them, log-probs, gradient norms, merged log-probs) and
tests/golden/lora_variants.safetensors (the adapters' tensors under VARIANT/NAME, and full gradients under VARIANT.gradient/NAME).
"""

import json
import tempfile
import warnings
from pathlib import Path

import peft
import torch
import transformers
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

warnings.simplefilter("ignore")
torch.set_num_threads(1)
GOLDEN = Path(__file__).resolve().parents[2] / "tests" / "golden"
BASE = str(GOLDEN / "tiny-qwen2")
IDS = [700, 17, 203, 5, 88, 350, 41, 600, 9, 120, 333, 77]
FULL_GRADIENTS = {"dora", "dora_dropout", "lora_bias", "bias_all", "norms", "patterns"}

VARIANTS = {
    "rslora": dict(use_rslora=True, target_modules=["q_proj", "down_proj"]),
    "dora": dict(use_dora=True, target_modules=["q_proj", "o_proj", "up_proj"]),
    "dora_dropout": dict(use_dora=True, lora_dropout=0.25, target_modules=["v_proj", "down_proj"]),
    "dora_rslora_bias": dict(use_dora=True, use_rslora=True, bias="lora_only", target_modules=["q_proj", "gate_proj"]),
    "bias_all": dict(bias="all", target_modules=["q_proj", "o_proj"]),
    "lora_bias": dict(lora_bias=True, target_modules=["k_proj"]),
    "patterns": dict(
        target_modules=["q_proj", "mlp.up_proj"],
        rank_pattern={"q_proj": 3, r"^model\.layers\.2\.mlp\.up_proj": 5},
        alpha_pattern={"layers.1.self_attn.q_proj": 7, "up_proj": 2},
    ),
    "layers": dict(target_modules=["q_proj", "v_proj"], layers_to_transform=[0, 2], layers_pattern="layers"),
    "regex": dict(target_modules=r".*\.[02]\.(self_attn\.(q|k)|mlp\.down)_proj", exclude_modules=["2.self_attn.k_proj"]),
    "exclude": dict(target_modules="all-linear", exclude_modules=r".*\.mlp\..*|model\.layers\.0\..*"),
    "norms": dict(target_modules=["v_proj"], modules_to_save=["norm"]),
    "saved_modules": dict(target_modules=["q_proj", "up_proj"], modules_to_save=["k_proj", "layers.1.mlp"]),
    "lm_head": dict(target_modules=["q_proj"], modules_to_save=["lm_head"]),
    "embed_tokens": dict(target_modules=["q_proj"], modules_to_save=["embed_tokens"]),
    "both_tied": dict(target_modules=["q_proj"], modules_to_save=["embed_tokens"], ensure_weight_tying=True),
}


class Mask(torch.nn.Module):
    """Dropout with a mask anyone can rebuild: the input i of token t is dropped where (7t + 3i + module) % 4 == 0."""

    def __init__(self, module: int):
        super().__init__()
        self.module = module

    def forward(self, x):
        t = torch.arange(x.shape[-2])[:, None]
        i = torch.arange(x.shape[-1])[None, :]
        return x * torch.where((7 * t + 3 * i + self.module) % 4 == 0, 0.0, 4 / 3)


def base():
    return AutoModelForCausalLM.from_pretrained(BASE, attn_implementation="eager")


def perturb(model, seed: int, only: str | None = None):
    """Random values for all that is trained, exact in bfloat16 so that the file may be small."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad or (only is not None and f".{only}" not in name):
            continue
        noise = torch.randn(parameter.shape, generator=generator)
        with torch.no_grad():
            if ".lora_A." in name or ".lora_B." in name:
                value = noise * 0.2
            elif "lora_magnitude_vector" in name:
                value = parameter * (1 + 0.1 * noise)
            else:
                value = parameter + 0.05 * noise
            parameter.copy_(value.to(torch.bfloat16).float())


def token_logps(model):
    logits = model(input_ids=torch.tensor([IDS])).logits[0, :-1]
    return torch.log_softmax(logits, -1)[torch.arange(len(IDS) - 1), torch.tensor(IDS[1:])]


def file_name(name: str, adapter: str = "default") -> str:
    name = name.replace(f".modules_to_save.{adapter}", "").replace(f".{adapter}", "")
    return name.removesuffix(".weight") if "lora_magnitude_vector" in name else name


def saved(model, tensors, variant, adapter="default"):
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder, selected_adapters=[adapter])
        where = Path(folder) if adapter == "default" else Path(folder) / adapter
        for name, tensor in load_file(where / "adapter_model.safetensors").items():
            assert torch.equal(tensor, tensor.to(torch.bfloat16).float()), name
            tensors[f"{variant}/{name}"] = tensor.to(torch.bfloat16)
        config = json.loads((where / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = "tiny-qwen2"
    # PEFT writes sets in the order of their hashes.
    for key in ("target_modules", "exclude_modules"):
        if isinstance(config[key], list):
            config[key] = sorted(config[key])
    return config


def numbers(model, variant, tensors):
    logps = token_logps(model)
    logps.sum().backward()
    gradients = {file_name(n): p.grad for n, p in model.named_parameters() if p.requires_grad}
    if variant in FULL_GRADIENTS:
        tensors.update({f"{variant}.gradient/{name}": gradient for name, gradient in gradients.items()})
    return {"logps": logps.tolist(), "gradient_norms": {name: g.norm().item() for name, g in gradients.items()}}


def main():
    tensors: dict[str, torch.Tensor] = {}
    variants = {}
    for seed, (variant, options) in enumerate(VARIANTS.items()):
        model = get_peft_model(base(), LoraConfig(r=4, lora_alpha=6, task_type="CAUSAL_LM", **options))
        perturb(model, seed)
        entry = {"config": saved(model, tensors, variant)}
        if variant == "dora_dropout":
            layers = [m for m in model.modules() if hasattr(m, "lora_dropout")]
            for index, layer in enumerate(layers):
                layer.lora_dropout["default"] = Mask(index)
            entry["masked"] = numbers(model.train(), variant, tensors)
            entry["logps"] = token_logps(model.eval()).tolist()
        else:
            entry.update(numbers(model, variant, tensors))
        with torch.no_grad():
            merged = model.merge_and_unload()
            entry["merged_logps"] = token_logps(merged).tolist()
            entry["merged_norms"] = {n: p.norm().item() for n, p in merged.named_parameters(remove_duplicate=False)}
            entry["merged_tied"] = merged.config.tie_word_embeddings
        variants[variant] = entry

    # Two adapters at once: the second is a DoRA, which also scales what the first has added.
    model = get_peft_model(base(), LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"))
    perturb(model, 100)
    second = LoraConfig(r=3, lora_alpha=3, use_dora=True, target_modules=["q_proj", "o_proj"], task_type="CAUSAL_LM")
    model.add_adapter("second", second)
    model.set_adapter("second")
    perturb(model, 101, only="second")
    stack = {
        "configs": {
            name: saved(model, tensors, f"stack.{name}", name) for name in ("default", "second")
        }
    }
    model.base_model.set_adapter(["default", "second"])
    with torch.no_grad():
        stack["logps"] = token_logps(model).tolist()
        stack["merged_logps"] = token_logps(model.merge_and_unload()).tolist()

    versions = {"torch": torch.__version__, "transformers": transformers.__version__, "peft": peft.__version__}
    document = {"versions": versions, "ids": IDS, "variants": variants, "stack": stack}
    (GOLDEN / "lora_variants.json").write_text(json.dumps(document, indent=1) + "\n")
    save_file(tensors, GOLDEN / "lora_variants.safetensors", metadata={"format": "pt"})


main()
