"""Writes tests/golden/classification.json with scikit-learn and tests/golden/text_metrics.json with sacrebleu.

Run in the repository root (scikit-learn 1.9.1, sacrebleu 2.6.0):

    python scripts/golden/evaluate_metrics.py

NaN is written as null. Texts were made up for this file.
"""

import json
import math
import random
import warnings

import numpy
import sacrebleu
import sklearn
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    classification_report,
    confusion_matrix,
    matthews_corrcoef,
    precision_recall_fscore_support,
)

warnings.filterwarnings("ignore")
OTHER = "(none)"


def plain(value):
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple, numpy.ndarray)):
        return [plain(each) for each in value]
    if isinstance(value, numpy.generic):
        value = value.item()
    return None if isinstance(value, float) and math.isnan(value) else value


def average_of(truth, predicted, labels, average, zero_division, pos_label=None):
    more = {} if pos_label is None else {"pos_label": pos_label}
    scores = precision_recall_fscore_support(
        truth, predicted, labels=None if average == "binary" else labels, average=average, zero_division=zero_division, **more
    )
    return list(scores[:3])


def classification_case(name, truth, predicted, labels):
    case = {"name": name, "labels": labels, "truth": truth, "predicted": [None if each == OTHER else each for each in predicted]}
    case["accuracy"] = accuracy_score(truth, predicted)
    case["balanced_accuracy"] = balanced_accuracy_score(truth, predicted)
    case["matthews"] = matthews_corrcoef(truth, predicted)
    case["confusion"] = confusion_matrix(truth, predicted, labels=labels)
    case["by_zero_division"] = []
    for zero_division in [0, 1, numpy.nan]:
        each = {"zero_division": zero_division}
        each["classes"] = list(
            precision_recall_fscore_support(truth, predicted, labels=labels, average=None, zero_division=zero_division)
        )
        for average in ["micro", "macro", "weighted"]:
            each[average] = average_of(truth, predicted, labels, average, zero_division)
        if len(labels) == 2 and OTHER not in predicted:
            each["binary"] = {
                label: average_of(truth, predicted, labels, "binary", zero_division, label)
                for label in labels
                if set(truth) | set(predicted) <= set(labels) and label in set(truth) | set(predicted)
            }
        each["report"] = classification_report(truth, predicted, labels=labels, zero_division=zero_division)
        each["report_4"] = classification_report(truth, predicted, labels=labels, zero_division=zero_division, digits=4)
        case["by_zero_division"].append(each)
    return case


def classification_cases():
    rng = random.Random(5)
    pools = [["no", "yes"], ["no", "yes"], ["a", "b", "c"], ["billing", "other", "sales", "support", "returns"], ["نعم", "لا"]]
    for i in range(40):
        pool = pools[i % len(pools)]
        rows = rng.choice([1, 2, 3, 8, 16, 25, 60])
        skew = [rng.random() ** 2 + 0.02 for _ in pool]
        truth = rng.choices(pool, skew, k=rows)
        predicted = [each if rng.random() < 0.6 else rng.choice(pool) for each in truth]
        if i % 4 == 3:
            predicted = [OTHER if rng.random() < 0.2 else each for each in predicted]
        yield f"random {i}", truth, predicted, pool
    yield "absent from the truth", ["a", "b", "a", "b"], ["a", "c", "c", "b"], ["a", "b", "c"]
    yield "absent from the predictions", ["a", "b", "c", "c"], ["a", "a", "a", "b"], ["a", "b", "c"]
    yield "absent from both", ["a", "b", "a"], ["a", "b", "b"], ["a", "b", "c"]
    yield "all one class", ["yes"] * 5, ["yes"] * 5, ["no", "yes"]
    yield "one class, always wrong", ["yes"] * 5, ["no"] * 5, ["no", "yes"]
    yield "all wrong", ["no", "yes", "no"], ["yes", "no", "yes"], ["no", "yes"]
    yield "nothing parsed", ["no", "yes", "no"], [OTHER] * 3, ["no", "yes"]
    yield "one row", ["no"], ["no"], ["no", "yes"]
    yield "halves", ["a"] * 8 + ["b"] * 8, ["a"] * 5 + ["b"] * 3 + ["b"] * 3 + ["a"] * 5, ["a", "b"]


SENTENCES = [
    ("The cat sat on the mat.", ["The cat is sitting on the mat.", "A cat sat on a mat!"]),
    ("It costs 3.50 euros, or 1,200 pounds - more or less.", ["It costs 3.50 euros or 1,200 pounds, more or less.", "3.5 euros is what it costs."]),
    ("He said: \"no-one knows\" (yet).", ["He said that \"no one knows\" (yet).", "\"No-one knows yet\", he said."]),
    ("قال المعلم إن العلم نور.", ["قال المعلم: العلم نور", "إن العلم نور، قال المعلم."]),
    ("", ["Nothing was said.", "Silence."]),
    ("word", ["word", "words"]),
    ("a b c d e f g", ["a b c d e f g", "g f e d c b a"]),
    ("AT&amp;T &quot;rose&quot; 5% &lt;today&gt;", ["AT&T \"rose\" 5 % <today>", "AT&T fell"]),
    ("Tea 🍵 and café, 茶 too.", ["Tea 🍵 with café; 茶 too!", "Café and 茶."]),
    ("one\ntwo-\nthree  four ", ["one two-three four", "one two three four"]),
    ("x", ["completely different", "not at all alike"]),
    ("the the the the the", ["the cat", "the the"]),
    ("2019-2020 was U.S. season, wasn't it?", ["2019-2020 was a U.S.A. season, was it not?", "The season of 2019 - 2020."]),
    ("tab\tand\u00a0space\u3000wide \ufeffmark", ["tab and space wide mark", "tab\tand space"]),
]


def text_case(name, pairs):
    hypotheses = [hypothesis for hypothesis, _ in pairs]
    case = {"name": name, "hypotheses": hypotheses, "references": [references for _, references in pairs], "scores": []}
    for count in [1, 2]:
        references = [[given[i] for _, given in pairs] for i in range(count)]
        bleu = sacrebleu.BLEU().corpus_score(hypotheses, references)
        lower = sacrebleu.BLEU(lowercase=True, effective_order=True).corpus_score(hypotheses, references)
        case["scores"].append(
            {
                "references": count,
                "bleu": bleu.score,
                "precisions": bleu.precisions,
                "brevity_penalty": bleu.bp,
                "hypothesis_length": bleu.sys_len,
                "reference_length": bleu.ref_len,
                "bleu_lower_effective": lower.score,
                "chrf": sacrebleu.CHRF().corpus_score(hypotheses, references).score,
                "chrf_plus_plus": sacrebleu.CHRF(word_order=2).corpus_score(hypotheses, references).score,
                "chrf_beta1_lower": sacrebleu.CHRF(beta=1, lowercase=True).corpus_score(hypotheses, references).score,
            }
        )
    return case


def text_cases():
    rng = random.Random(9)
    yield "all", SENTENCES
    for pair in SENTENCES:
        yield pair[0] or "empty", [pair]
    for i in range(12):
        yield f"mixed {i}", [rng.choice(SENTENCES) for _ in range(rng.randint(2, 6))]
    words = "the a of to river mountain green slowly walks, sings. 12 3.4 - (new) don't".split()
    for i in range(12):
        pairs = []
        for _ in range(5):
            reference = rng.choices(words, k=rng.randint(1, 14))
            changed = [rng.choice(words) if rng.random() < 0.3 else word for word in reference]
            other = [word for word in reference if rng.random() < 0.8]
            pairs.append((" ".join(changed), [" ".join(reference), " ".join(other)]))
        yield f"random {i}", pairs


def write(name, value):
    with open(f"tests/golden/{name}", "w", encoding="utf-8") as file:
        json.dump(plain(value), file, ensure_ascii=False, separators=(",", ":"))
        file.write("\n")


write(
    "classification.json",
    {"scikit_learn": sklearn.__version__, "cases": [classification_case(*case) for case in classification_cases()]},
)
write(
    "text_metrics.json",
    {
        "sacrebleu": sacrebleu.__version__,
        "cases": [text_case(*case) for case in text_cases()],
    },
)
