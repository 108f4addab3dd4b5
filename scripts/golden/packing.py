"""tests/golden/packing.json: where trl.pack_dataset puts each piece of rows of random lengths.

Run with TRL 1.13: python scripts/golden/packing.py > tests/golden/packing.json
Each row's ids are numbers of their own, so the packed rows tell which piece of which row lies where.
"""

import json
import random
import sys

import datasets
import trl
from datasets import Dataset

datasets.disable_progress_bars()

OFFSET = 10_000  # longer than any row


def pieces(ids, lengths):
    """One packed row as a flat list: row, first, length of each piece. Pieces are those of `lengths`, else runs of one row."""
    starts = {sum(lengths[:i]) for i in range(len(lengths))} if lengths is not None else set()
    found = []
    for i, value in enumerate(ids):
        row, place = divmod(value, OFFSET)
        if i not in starts and found and found[-1][0] == row and found[-1][1] + found[-1][2] == place:
            found[-1][2] += 1
        else:
            found.append([row, place, 1])
    assert lengths is None or [piece[2] for piece in found] == lengths
    return [number for piece in found for number in piece]


def pack(lengths, strategy, max_length):
    ids = [[row * OFFSET + place for place in range(length)] for row, length in enumerate(lengths)]
    dataset = Dataset.from_dict({"input_ids": ids, "labels": ids})
    # As in SFTTrainer: the rows have been written by a map before they are packed.
    dataset = dataset.map(lambda example: {"labels": example["labels"]}).select_columns(["input_ids", "labels"])
    packed = trl.pack_dataset(dataset, max_length, strategy)
    assert all(row["labels"] == row["input_ids"] for row in packed)
    return {
        "strategy": strategy,
        "max_length": max_length,
        "rows": [pieces(row["input_ids"], row.get("seq_lengths")) for row in packed],
    }


def main():
    draw = random.Random(7)
    # Short and long rows, some empty, many of equal length.
    few = [draw.choice([0, 1, 5, 8, 8, 16, 16, 17]) if draw.random() < 0.3 else draw.randint(1, 70) for _ in range(200)]
    # More than the 1000 rows that datasets.map packs at a time.
    many = [draw.randint(1, 30) for _ in range(1150)]
    strategies = ("bfd", "bfd_split", "wrapped")
    sets = [
        {"lengths": few, "cases": [pack(few, strategy, limit) for limit in (16, 37, 64) for strategy in strategies]},
        {"lengths": many, "cases": [pack(many, strategy, 45) for strategy in ("bfd_split", "wrapped")]},
    ]
    json.dump({"versions": {"trl": trl.__version__, "datasets": datasets.__version__}, "sets": sets}, sys.stdout, separators=(",", ":"))
    sys.stdout.write("\n")


main()
