/** The README.md of a data set: features, splits and files as the Hub's viewer and Python's `datasets` read them. */
import { basename } from "node:path";
import type { Dataset } from "../data/index.js";
import { HubError } from "../errors.js";
import { formatFrontMatter } from "./card/frontMatter.js";
import { table } from "./card/markdown.js";
import { SIZE_CATEGORIES, requireCardMetadata } from "./card/metadata.js";
import { requirePublic } from "./card/privacy.js";
import { fence } from "./card/usage.js";

export interface DatasetCardFacts {
  /** `owner/name` or `name` */
  readonly repo_id: string;
  readonly splits: Readonly<Record<string, Dataset>>;
  /** Path in the repository of every split's file, e.g. `data/train.jsonl`; left out where the names tell the splits. */
  readonly files?: Readonly<Record<string, string>>;
  /** Bytes of all files together. */
  readonly download_size?: number;
  readonly license?: string;
  readonly license_name?: string;
  readonly license_link?: string;
  readonly language?: string | readonly string[];
  readonly tags?: readonly string[];
  /** Default text-generation. */
  readonly task_categories?: readonly string[];
  /** Name for people; default that of the repository. */
  readonly pretty_name?: string;
  /** Hub ids of data sets that this one was made of. */
  readonly source_datasets?: readonly string[];
  /** One or more paragraphs of Markdown: what the rows are and where they came from. */
  readonly description?: string;
}

/** A column's type in the terms of `datasets`. */
type Feature =
  { readonly dtype: string } | { readonly list: string | Feature | readonly NamedFeature[] } | { readonly struct: readonly NamedFeature[] };
type NamedFeature = Feature & { readonly name: string };

/** @throws HubError `card_metadata`, `card_private`, `card_features` for a column whose rows have different types */
export function datasetCard(facts: DatasetCardFacts): string {
  const { repo_id, splits, files, language = [] } = facts;
  const sizes = Object.entries(splits).map(([name, split]) => ({ name, num_examples: split.length }));
  const rows = sizes.reduce((sum, size) => sum + size.num_examples, 0);
  const features = featuresOf(Object.values(splits));
  const name = facts.pretty_name ?? basename(repo_id);
  const languages = [language].flat();
  const data = {
    ...optional("language", languages.length > 0 ? languages : undefined),
    ...optional("license", facts.license),
    ...optional("license_name", facts.license_name),
    ...optional("license_link", facts.license_link),
    pretty_name: name,
    size_categories: [sizeCategory(rows)],
    ...optional("source_datasets", facts.source_datasets),
    task_categories: facts.task_categories ?? ["text-generation"],
    tags: [...new Set(["preflab", ...(facts.tags ?? [])])],
    dataset_info: { features, splits: sizes, ...optional("download_size", facts.download_size) },
    ...(files === undefined
      ? {}
      : { configs: [{ config_name: "default", data_files: Object.entries(files).map(([split, path]) => ({ split, path })) }] }),
  };
  requireCardMetadata(data, "dataset");
  const card = `${formatFrontMatter(data)}\n${body(facts, name, features, sizes).join("\n\n")}\n`;
  requirePublic(card, []);
  return card;
}

function optional<T>(name: string, value: T | undefined): Record<string, T> {
  return value === undefined ? {} : { [name]: value };
}

function body(
  { repo_id, description }: DatasetCardFacts,
  name: string,
  features: readonly NamedFeature[],
  splits: readonly { name: string; num_examples: number }[],
): string[] {
  const [first] = splits;
  return [
    `# ${name}`,
    ...(description === undefined ? [] : [description]),
    "## Splits",
    table(
      ["split", "rows"],
      splits.map((split) => [split.name, split.num_examples]),
    ),
    "## Columns",
    table(
      ["column", "type"],
      features.map((feature) => [feature.name, describe(feature)]),
    ),
    ...(first === undefined
      ? []
      : [
          "## Use",
          fence("typescript", [
            'import { load_dataset } from "preflab";',
            "",
            `const dataset = await load_dataset(${JSON.stringify(repo_id)}, { split: ${JSON.stringify(first.name)} });`,
          ]),
          fence("python", [
            "from datasets import load_dataset",
            "",
            `dataset = load_dataset(${JSON.stringify(repo_id)}, split=${JSON.stringify(first.name)})`,
          ]),
        ]),
  ];
}

function describe(feature: Feature): string {
  if ("dtype" in feature) return feature.dtype;
  if ("struct" in feature) return `{ ${feature.struct.map((field) => `${field.name}: ${describe(field)}`).join(", ")} }`;
  const { list } = feature;
  if (typeof list === "string") return `list of ${list}`;
  return `list of ${describe(isStruct(list) ? { struct: list } : list)}`;
}

function isStruct(list: Feature | readonly NamedFeature[]): list is readonly NamedFeature[] {
  return Array.isArray(list);
}

/** The Hub's class for a number of rows. */
export function sizeCategory(rows: number): string {
  const power = Math.max(0, Math.floor(Math.log10(Math.max(1, rows))) - 2);
  return SIZE_CATEGORIES[Math.min(power, SIZE_CATEGORIES.indexOf("n>1T"))]!;
}

/** The columns of all splits with their types, in order. @throws HubError `card_features` */
export function featuresOf(splits: readonly Dataset[]): NamedFeature[] {
  const names = [...new Set(splits.flatMap((split) => split.column_names))];
  return names.map((name) => {
    const values = splits.flatMap((split) => (split.column_names.includes(name) ? split.column(name) : []));
    return { name, ...featureOf(name, values) } as NamedFeature;
  });
}

function featureOf(where: string, values: readonly unknown[]): Feature {
  const present = values.filter((value) => value !== null && value !== undefined);
  if (present.length === 0) return { dtype: "null" };
  const kinds = [...new Set(present.map(kindOf))];
  if (kinds.every((kind) => kind === "int64" || kind === "float64")) return { dtype: kinds.includes("float64") ? "float64" : "int64" };
  if (kinds.length > 1)
    throw new HubError(
      "card_features",
      `data set card: column ${where} must hold one type, got ${kinds.join(" and ")}; convert it with map`,
    );
  if (kinds[0] === "list") {
    const inner = featureOf(`${where}[]`, (present as unknown[][]).flat());
    if ("struct" in inner) return { list: inner.struct };
    if ("dtype" in inner) return { list: inner.dtype };
    return { list: inner };
  }
  if (kinds[0] !== "struct") return { dtype: kinds[0]! };
  const objects = present as Record<string, unknown>[];
  const fields = [...new Set(objects.flatMap((object) => Object.keys(object)))];
  return {
    struct: fields.map(
      (name) =>
        ({
          name,
          ...featureOf(
            `${where}.${name}`,
            objects.map((object) => object[name]),
          ),
        }) as NamedFeature,
    ),
  };
}

function kindOf(value: unknown): string {
  if (typeof value === "string") return "string";
  if (typeof value === "boolean") return "bool";
  if (typeof value === "bigint") return "int64";
  if (typeof value === "number") return Number.isInteger(value) ? "int64" : "float64";
  if (Array.isArray(value)) return "list";
  if (value instanceof Date) return "timestamp[ms]";
  return value instanceof Uint8Array ? "binary" : "struct";
}
