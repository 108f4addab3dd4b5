/**
 * The Hub's rules for the head of a card, checked before anything is sent: huggingface.co/docs/hub/model-cards, datasets-cards and the
 * modelcard.md of hub-docs. The Hub itself accepts unknown keys; here they are errors, because a misspelt key is a fact that nobody finds.
 */
import { isRepositoryId } from "../../data/repository.js";
import { HubError, nearestName } from "../../errors.js";
import { LICENCES } from "./licences.js";

const COMMON_KEYS = [
  "language",
  "license",
  "license_name",
  "license_link",
  "license_details",
  "tags",
  "pretty_name",
  "thumbnail",
  "viewer",
];
const GATE_KEYS = [
  "extra_gated_prompt",
  "extra_gated_fields",
  "extra_gated_heading",
  "extra_gated_description",
  "extra_gated_button_content",
];
const MODEL_KEYS = [
  ...[
    ...COMMON_KEYS,
    ...GATE_KEYS,
    "base_model",
    "base_model_relation",
    "datasets",
    "library_name",
    "metrics",
    "model_name",
    "model-index",
  ],
  ...["pipeline_tag", "new_version", "quantized_by", "inference", "widget", "co2_eq_emissions"],
];
const DATASET_KEYS = [
  ...[...COMMON_KEYS, ...GATE_KEYS, "annotations_creators", "language_creators", "language_details", "language_bcp47", "multilinguality"],
  ...["size_categories", "source_datasets", "task_categories", "task_ids", "paperswithcode_id", "configs", "config_names", "dataset_info"],
  ...["train-eval-index", "arxiv"],
];
export const SIZE_CATEGORIES = [
  ...["n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M", "100M<n<1B", "1B<n<10B", "10B<n<100B", "100B<n<1T", "n>1T"],
  "other",
] as const;

type Data = Readonly<Record<string, unknown>>;

/**
 * @param data the head of a README.md, as parsed YAML
 * @throws HubError `card_metadata` that names every fault, one a line
 */
export function requireCardMetadata(data: Data, kind: "model" | "dataset"): void {
  const faults = cardFaults(data, kind);
  if (faults.length > 0)
    throw new HubError(
      "card_metadata",
      `${kind} card: the metadata must follow the Hub's rules, got\n${faults.map((fault) => `  ${fault}`).join("\n")}`,
    );
}

/** Every broken rule, `key: rule, got value; what to do`. */
export function cardFaults(data: Data, kind: "model" | "dataset"): string[] {
  const keys = kind === "model" ? MODEL_KEYS : DATASET_KEYS;
  const faults: string[] = [];
  for (const name of Object.keys(data).filter((key) => !keys.includes(key))) {
    const nearest = nearestName(name, keys);
    faults.push(`${name}: unknown key; ${nearest === undefined ? `known: ${keys.join(", ")}` : `did you mean ${nearest}?`}`);
  }
  faults.push(...licenceFaults(data), ...listOf(data, "language").flatMap(languageFaults), ...textFaults(data));
  for (const key of kind === "model" ? ["base_model", "datasets"] : []) faults.push(...idFaults(key, data[key]));
  if (kind === "model") faults.push(...indexFaults(data["model-index"]));
  else faults.push(...infoFaults(data["dataset_info"]), ...sizeFaults(data["size_categories"]));
  return faults;
}

function listOf(data: Data, key: string): unknown[] {
  const value = data[key];
  return value === undefined || value === null ? [] : [value].flat();
}

function licenceFaults(data: Data): string[] {
  const faults = listOf(data, "license").flatMap((licence) => {
    if (typeof licence === "string" && LICENCES.includes(licence)) return [];
    const nearest = typeof licence === "string" ? nearestName(licence, LICENCES) : undefined;
    const advice = nearest === undefined ? 'write "other" with license_name and license_link' : `did you mean ${nearest}?`;
    return [`license: must be an identifier of the Hub, got ${JSON.stringify(licence)}; ${advice}`];
  });
  if (data["license"] === "other" && typeof data["license_name"] !== "string")
    faults.push('license: "other" needs license_name, got none; name the licence, and put its text or a link into license_link');
  return faults;
}

/** ISO 639-1 has two letters, 639-2 and 639-3 three. Node's table of names knows which of two letters are assigned. */
function languageFaults(code: unknown): string[] {
  const named = (tag: string): boolean => new Intl.DisplayNames("en", { type: "language", fallback: "none" }).of(tag) !== undefined;
  if (code === "code" || code === "multilingual") return [];
  if (typeof code === "string" && (/^[a-z]{3}$/.test(code) || (/^[a-z]{2}$/.test(code) && named(code)))) return [];
  return [
    `language: must be an ISO 639 code of two or three letters, "code" or "multilingual", got ${JSON.stringify(code)}; e.g. ar, en, fr`,
  ];
}

/** Keys that hold one text, or a list of texts. */
function textFaults(data: Data): string[] {
  const single = ["library_name", "pipeline_tag", "model_name", "license_name", "license_link", "pretty_name"];
  const lists = ["tags", "datasets", "metrics", "task_categories", "task_ids"];
  const isText = (value: unknown): boolean => typeof value === "string" && value.trim() !== "";
  return [
    ...single
      .filter((key) => data[key] !== undefined && !isText(data[key]))
      .map((key) => `${key}: must be text, got ${JSON.stringify(data[key])}; write one`),
    ...lists.flatMap((key) =>
      listOf(data, key)
        .filter((value) => !isText(value))
        .map((value) => `${key}: must be a list of texts, got ${JSON.stringify(value)} in it; leave it out or name it`),
    ),
  ];
}

/** `name` alone is an id too: of what was on the Hub before namespaces. */
function idFaults(key: string, value: unknown): string[] {
  const ids = value === undefined ? [] : [value].flat();
  return ids
    .filter((id) => typeof id === "string" && !isRepositoryId(id.includes("/") ? id : `owner/${id}`))
    .map((id) => `${key}: must be an id on the Hub, got ${JSON.stringify(id)}; leave out what is not there, and paths of this machine`);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The structure that the Hub refuses a push over. */
function indexFaults(index: unknown): string[] {
  if (index === undefined) return [];
  if (!Array.isArray(index)) return [`model-index: must be a list, got ${typeof index}; write [{ name, results }]`];
  return index.flatMap((entry: unknown, i) => {
    const at = `model-index[${i}]`;
    if (!isObject(entry) || typeof entry["name"] !== "string") return [`${at}.name: must be text, got none; write the model's name`];
    const { results } = entry;
    if (!Array.isArray(results)) return [`${at}.results: must be a list, got ${typeof results}; write [{ task, dataset, metrics }]`];
    return results.flatMap((result: unknown, j) => resultFaults(result, `${at}.results[${j}]`));
  });
}

function resultFaults(result: unknown, at: string): string[] {
  if (!isObject(result)) return [`${at}: must be an object, got ${typeof result}; write { task, dataset, metrics }`];
  const required = (part: string, names: readonly string[]): string[] =>
    names
      .filter((name) => !isObject(result[part]) || typeof result[part][name] !== "string")
      .map(
        (name) =>
          `${at}.${part}.${name}: must be text, got ${isObject(result[part]) ? JSON.stringify(result[part][name]) : "none"}; it is required`,
      );
  const faults = [...required("task", ["type"]), ...required("dataset", ["type", "name"])];
  const { metrics } = result;
  if (!Array.isArray(metrics) || metrics.length === 0)
    return [...faults, `${at}.metrics: must be a list with a metric, got none; leave the result out`];
  return [...faults, ...metrics.flatMap((metric: unknown, k) => metricFaults(metric, `${at}.metrics[${k}]`))];
}

function metricFaults(metric: unknown, at: string): string[] {
  if (!isObject(metric) || typeof metric["type"] !== "string") return [`${at}.type: must be text, got none; it is required`];
  const { value } = metric;
  const fine = typeof value === "number" ? Number.isFinite(value) : typeof value === "string" || isObject(value);
  return fine ? [] : [`${at}.value: must be what was measured, got ${JSON.stringify(value) ?? "none"}; leave the metric out`];
}

function infoFaults(info: unknown): string[] {
  const infos = info === undefined ? [] : [info].flat();
  return infos.flatMap((each: unknown, i) => {
    const at = Array.isArray(info) ? `dataset_info[${i}]` : "dataset_info";
    if (!isObject(each)) return [`${at}: must be an object, got ${typeof each}; write { features, splits }`];
    if (Array.isArray(info) && typeof each["config_name"] !== "string")
      return [`${at}.config_name: must be text where there are several, got none; name it`];
    const named = (key: string, also: readonly string[]): string[] => {
      const list = each[key];
      if (list === undefined) return [];
      if (!Array.isArray(list)) return [`${at}.${key}: must be a list, got ${typeof list}; write [{ name, … }]`];
      return list.flatMap((item: unknown, j) =>
        isObject(item) && typeof item["name"] === "string" && (also.length === 0 || also.some((name) => item[name] !== undefined))
          ? []
          : [
              `${at}.${key}[${j}]: must have name${also.length === 0 ? "" : ` and ${also.join(", ")}`}, got ${JSON.stringify(item)}; complete it`,
            ],
      );
    };
    return [...named("features", ["dtype", "list", "sequence", "struct"]), ...named("splits", ["num_examples"])];
  });
}

function sizeFaults(value: unknown): string[] {
  const sizes = value === undefined ? [] : [value].flat();
  return sizes
    .filter((size) => !(SIZE_CATEGORIES as readonly unknown[]).includes(size))
    .map(
      (size) => `size_categories: must be one of ${SIZE_CATEGORIES.join(", ")}, got ${JSON.stringify(size)}; choose by the number of rows`,
    );
}
