"""tests/golden/pipeline.json: what transformers' text-generation pipeline returns for texts, chats and batches of them.

Run with transformers 5.18, in the repository's root: python scripts/golden/pipeline.py > tests/golden/pipeline.json
"""

import json
import sys

import torch
import transformers
from transformers import pipeline

torch.set_num_threads(1)

QUESTION = [{"role": "user", "content": "Is the sky green?"}]
NEW = {"return_full_text": False}
CASES = [
    ("The moon is", {}),
    ("The moon is", NEW),
    ("The <|im_end|> moon", {}),
    ("A cat", {"repetition_penalty": 1.3}),
    (["The moon is", "A cat"], {}),
    (["A cat"], NEW),
    (QUESTION, {}),
    (QUESTION, NEW),
    ([QUESTION], {}),
    ([QUESTION, [{"role": "system", "content": "Be kind."}, *QUESTION]], NEW),
    ([*QUESTION, {"role": "assistant", "content": "No, it"}], {}),
    ([*QUESTION, {"role": "assistant", "content": "No, it"}], NEW),
    ([*QUESTION, {"role": "assistant", "content": "No."}], {"continue_final_message": False}),
]


def main():
    generator = pipeline("text-generation", model="tests/golden/tiny-qwen2", device="cpu", dtype=torch.float32)
    shared = {"max_new_tokens": 12, "do_sample": False}
    cases = [{"input": text, "options": options, "output": generator(text, **shared, **options)} for text, options in CASES]
    versions = {"torch": torch.__version__, "transformers": transformers.__version__}
    json.dump({"versions": versions, "options": shared, "cases": cases}, sys.stdout, ensure_ascii=False, indent=1)
    sys.stdout.write("\n")


main()
