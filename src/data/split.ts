import { ConfigError } from "../errors.js";
import type { Dataset } from "./dataset.js";

/** The words by which file and folder names tell a split, as on the Hugging Face Hub. */
const SPLIT_WORDS: readonly (readonly [split: string, words: readonly string[]])[] = [
  ["train", ["train", "training"]],
  ["validation", ["validation", "valid", "val", "dev"]],
  ["test", ["test", "testing", "eval", "evaluation"]],
];

/**
 * The split that a relative path tells, or undefined: the name of a shard (`data/train_prefs-00000-of-00001.parquet` is `train_prefs`),
 * else a whole word of the path (`en-test.jsonl`, `test/part-0.csv`).
 */
export function splitOfPath(path: string): string | undefined {
  const shard = /(?:^|[\\/])([\w.]+)-\d{5}-of-\d{5}\.\w+$/.exec(path);
  if (shard !== null) return canonicalSplit(shard[1]!);
  // The last word that names a split wins: in train/dev-notes.csv the file name is closer to the rows than the folder.
  for (const word of path
    .toLowerCase()
    .split(/[^a-z]+/)
    .reverse()) {
    const split = SPLIT_WORDS.find(([, known]) => known.includes(word));
    if (split !== undefined) return split[0];
  }
  return undefined;
}

/** `val` and `dev` are `validation`, and so on; other names stay. */
export function canonicalSplit(name: string): string {
  return SPLIT_WORDS.find(([, known]) => known.includes(name.toLowerCase()))?.[0] ?? name;
}

/** A split and the part of it that is wanted, as in `train[10%:200]`. */
export interface SplitPart {
  readonly name: string;
  readonly from?: SplitBound;
  readonly to?: SplitBound;
}

interface SplitBound {
  readonly value: number;
  readonly percent: boolean;
}

/** Parses `name`, `name[from:to]`; bounds are row counts or percentages, either may be missing, negative ones count from the end.
 *  @throws ConfigError `split_syntax` */
export function parseSplit(text: string): SplitPart {
  const match = /^([A-Za-z][\w.-]*)(?:\[(-?\d+%?)?:(-?\d+%?)?\])?$/.exec(text.trim());
  if (match === null) {
    throw new ConfigError(
      "split_syntax",
      `load_dataset: split must be a name or a part such as train[:100] or train[10%:20%], got ${JSON.stringify(text)}`,
    );
  }
  return { name: canonicalSplit(match[1]!), from: parseBound(match[2]), to: parseBound(match[3]) };
}

function parseBound(text: string | undefined): SplitBound | undefined {
  if (text === undefined) return undefined;
  const bound = { value: Number.parseInt(text, 10), percent: text.endsWith("%") };
  if (bound.percent && Math.abs(bound.value) > 100) {
    throw new ConfigError("split_syntax", `load_dataset: a split's percentage must lie in -100..100, got ${text}`);
  }
  return bound;
}

/** The rows of a part; like a slice, bounds beyond the end are cut. Percentages round to the nearest row. */
export function takeSlice(dataset: Dataset, part: SplitPart): Dataset {
  if (part.from === undefined && part.to === undefined) return dataset;
  const position = (bound: SplitBound): number => {
    const count = bound.percent ? Math.round((bound.value / 100) * dataset.length) : bound.value;
    return Math.min(dataset.length, Math.max(0, count < 0 ? dataset.length + count : count));
  };
  const from = part.from === undefined ? 0 : position(part.from);
  const to = part.to === undefined ? dataset.length : position(part.to);
  return dataset.select(Array.from({ length: Math.max(0, to - from) }, (_, i) => from + i));
}
