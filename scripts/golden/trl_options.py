"""tests/golden/trl_options.json: every option of TRL's, transformers' and PEFT's classes with its default and, where a list of values
exists in their sources, its values.

Run with TRL 1.13 from the repository's root: python scripts/golden/trl_options.py > tests/golden/trl_options.json
"""
import dataclasses
import enum
import inspect
import json
import os
import re
import sys

os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"

import peft
import transformers
import trl
import trl.trainer.dpo_trainer
import trl.trainer.kto_trainer
import trl.trainer.sft_trainer
from peft import LoraConfig
from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK
from transformers.trainer_utils import HubStrategy, IntervalStrategy, SaveStrategy, SchedulerType
from transformers.training_args import OptimizerNames
from trl import DPOConfig, KTOConfig, SFTConfig
from trl.experimental.cpo import CPOConfig
from trl.experimental.orpo import ORPOConfig


def plain(value):
    if isinstance(value, enum.Enum):
        return value.value
    return value if isinstance(value, (str, int, float, bool, type(None), list, dict)) else str(value)


def default(field):
    if field.default is not dataclasses.MISSING:
        return plain(field.default)
    return plain(field.default_factory()) if field.default_factory is not dataclasses.MISSING else None


def compared(module, name):
    """The strings that a trainer's code compares an attribute with."""
    return list(dict.fromkeys(re.findall(rf'\b{name} == "(\w+)"', inspect.getsource(module))))


SHARED = {
    "optim": [plain(v) for v in OptimizerNames],
    "lr_scheduler_type": [plain(v) for v in SchedulerType],
    "logging_strategy": [plain(v) for v in IntervalStrategy],
    "eval_strategy": [plain(v) for v in IntervalStrategy],
    "save_strategy": [plain(v) for v in SaveStrategy],
    "hub_strategy": [plain(v) for v in HubStrategy],
    "report_to": ["none", "all", *INTEGRATION_TO_CALLBACK],
}
OWN = {
    DPOConfig: {"loss_type": compared(trl.trainer.dpo_trainer, "loss_type"), "f_divergence_type": compared(trl.trainer.dpo_trainer, "f_divergence_type")},
    SFTConfig: {"loss_type": compared(trl.trainer.sft_trainer, "loss_type")},
    KTOConfig: {"loss_type": compared(trl.trainer.kto_trainer, "loss_type")},
    LoraConfig: {"bias": ["none", "all", "lora_only"]},
}


def option(cls, field):
    found = {"default": default(field)}
    values = OWN.get(cls, {}).get(field.name) or field.metadata.get("choices") or (None if cls is LoraConfig else SHARED.get(field.name))
    if values:
        found["values"] = list(values)
    return found


classes = (DPOConfig, SFTConfig, KTOConfig, CPOConfig, ORPOConfig, LoraConfig)
json.dump(
    {
        "versions": {"trl": trl.__version__, "transformers": transformers.__version__, "peft": peft.__version__},
        "classes": {cls.__name__: {f.name: option(cls, f) for f in dataclasses.fields(cls) if f.init} for cls in classes},
    },
    sys.stdout,
    indent=1,
)
print()
