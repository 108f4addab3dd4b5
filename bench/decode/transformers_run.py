"""transformers' side: python transformers_run.py CHECKPOINT THREADS. Weights and cache in float32, greedy."""

import json
import sys
import time

import torch
from transformers import AutoModelForCausalLM

folder, threads = sys.argv[1], int(sys.argv[2])
torch.set_num_threads(threads)
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
model.eval()
print(json.dumps({"ready": True}), flush=True)
for line in sys.stdin:
    request = json.loads(line)
    ids = torch.tensor(request["prompts"])
    with torch.inference_mode():
        started = time.perf_counter()
        out = model(ids, use_cache=True, logits_to_keep=1)
        ids = out.logits[:, -1].argmax(-1, keepdim=True)
        read = time.perf_counter()
        # The plain loop, which is quicker than generate().
        for _ in range(request["newTokens"] - 1):
            out = model(ids, past_key_values=out.past_key_values, use_cache=True)
            ids = out.logits[:, -1].argmax(-1, keepdim=True)
        done = time.perf_counter()
    print(json.dumps({"prefill": (read - started) * 1e3, "decode": (done - read) * 1e3}), flush=True)
