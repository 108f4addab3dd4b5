"""tests/golden/assistant_masks.json: which tokens TRL learns with assistant_only_loss, on the tiny tokenizer with Qwen2.5's chat template.

Run with TRL 1.13 and transformers 5.18: python scripts/golden/assistant_masks.py > tests/golden/assistant_masks.json
`conversations` are masks of apply_chat_template(return_assistant_tokens_mask=True) with TRL's marked template; `datasets` are the labels that
SFTTrainer prepares, which takes that template by itself.
"""

import json
import sys
import tempfile
from pathlib import Path

import datasets
import transformers
import trl
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer

datasets.disable_progress_bars()
TINY = Path(__file__).parents[2] / "tests" / "golden" / "tiny-qwen2"
TEMPLATES = Path(trl.__file__).parent / "chat_templates"


def turn(role, content, **more):
    return {"role": role, "content": content, **more}


def call(name, **arguments):
    return {"type": "function", "function": {"name": name, "arguments": arguments}}


TOOL = {
    "type": "function",
    "function": {"name": "weather", "description": "Weather of a place.", "parameters": {"type": "object", "properties": {"place": {"type": "string"}}}},
}

CONVERSATIONS = [
    {"messages": [turn("user", "What is mint?"), turn("assistant", "A plant.")]},
    {"messages": [turn("system", "Be kind."), turn("user", "One?"), turn("assistant", "Two."), turn("user", "Three?"), turn("assistant", "Four.")]},
    {"messages": [turn("user", "أين الخبز؟"), turn("assistant", "الخبز في السوق. 🐦")]},
    # Composed by the tokenizer's normalizer, before, in and behind the assistant's turn.
    {"messages": [turn("user", "Cafe\u0301?"), turn("assistant", "Re\u0301sume\u0301 🍵"), turn("user", "e\u0301"), turn("assistant", "a\u0308 b")]},
    {"messages": [turn("system", "Be kind."), turn("user", "Go on."), turn("assistant", "One."), turn("assistant", "Two."), turn("user", "Stop.")]},
    {"messages": [turn("user", "Say nothing."), turn("assistant", ""), turn("user", "And now?"), turn("assistant", "\n\nA line.\n")]},
    {"messages": [turn("user", "Write <|im_start|>assistant"), turn("assistant", "<|im_start|>user\nNo.<|im_end|>")]},
    {
        "messages": [
            turn("user", "Is it warm in Oslo and Rome?"),
            turn("assistant", "I look.", tool_calls=[call("weather", place="Oslo"), call("weather", place="Rome")]),
            turn("tool", "3 degrees"),
            turn("tool", "20 degrees"),
            turn("assistant", "Only in Rome."),
        ],
        "tools": [TOOL],
    },
]

MESSAGES = [{"messages": each["messages"]} for each in CONVERSATIONS[:6]]
COMPLETIONS = [
    {"prompt": [turn("user", "One?")], "completion": [turn("assistant", "Two.")]},
    {"prompt": [turn("user", "One?"), turn("assistant", "Two."), turn("user", "Three?")], "completion": [turn("assistant", "Four.")]},
    {
        "prompt": [turn("system", "Be kind."), turn("user", "One?"), turn("assistant", "Two."), turn("user", "Three?")],
        "completion": [turn("assistant", "Four."), turn("user", "Five?"), turn("assistant", "Six.")],
    },
]


def mask_conversation(tokenizer, conversation):
    out = tokenizer.apply_chat_template(
        conversation["messages"],
        tools=conversation.get("tools"),
        chat_template=(TEMPLATES / "qwen2_5_training.jinja").read_text(),
        return_dict=True,
        return_assistant_tokens_mask=True,
    )
    plain = tokenizer.apply_chat_template(
        conversation["messages"],
        tools=conversation.get("tools"),
        chat_template=(TEMPLATES / "qwen2_5.jinja").read_text(),
        return_dict=True,
    )
    assert plain["input_ids"] == out["input_ids"]
    return {**conversation, "ids": out["input_ids"], "mask": "".join(map(str, out["assistant_masks"]))}


def prepare_labels(rows, completion_only_loss, max_length):
    tokenizer = AutoTokenizer.from_pretrained(TINY)
    tokenizer.chat_template = (TEMPLATES / "qwen2_5.jinja").read_text()
    with tempfile.TemporaryDirectory() as folder:
        args = trl.SFTConfig(
            output_dir=folder,
            assistant_only_loss=True,
            completion_only_loss=completion_only_loss,
            max_length=max_length,
            report_to="none",
            use_cpu=True,
            bf16=False,
        )
        numbered = [{**row, "row": i} for i, row in enumerate(rows)]
        trainer = trl.SFTTrainer(
            AutoModelForCausalLM.from_pretrained(TINY), args, train_dataset=Dataset.from_list(numbered), processing_class=tokenizer
        )
        kept = [{"row": row["row"], "labels": row["labels"]} for row in trainer.train_dataset]
    return {"completion_only_loss": completion_only_loss, "max_length": max_length, "kept": kept}


def main():
    tokenizer = AutoTokenizer.from_pretrained(TINY)
    json.dump(
        {
            "versions": {"trl": trl.__version__, "transformers": transformers.__version__},
            "conversations": [mask_conversation(tokenizer, each) for each in CONVERSATIONS],
            "datasets": [
                {"rows": MESSAGES, "cases": [prepare_labels(MESSAGES, None, limit) for limit in (None, 45)]},
                {
                    "rows": COMPLETIONS,
                    "cases": [prepare_labels(COMPLETIONS, only, limit) for only in (None, False) for limit in (None, 45)],
                },
            ],
        },
        sys.stdout,
        ensure_ascii=False,
        separators=(",", ":"),
    )
    sys.stdout.write("\n")


main()
