/** The README.md of a model: what is known of it and was measured, and nothing else. */
import { existsSync, readFileSync } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { PeftModel } from "../model/index.js";
import { writeFileAtomic } from "../text/atomicFile.js";
import { CURVES_FILE, curvesSvg, curvesTable } from "./card/curves.js";
import type { CardFacts } from "./card/facts.js";
import { formatFrontMatter, parseFrontMatter } from "./card/frontMatter.js";
import { quote } from "./card/markdown.js";
import { requireCardMetadata } from "./card/metadata.js";
import { citations, describeMethod } from "./card/methods.js";
import { requirePublic } from "./card/privacy.js";
import { evaluationTable, evaluationsOf, lastValues, modelIndex } from "./card/results.js";
import { isHubId, optionTable, publicName, reproduction, runTable, versions } from "./card/training.js";
import { usageSections } from "./card/usage.js";

export type { CardFacts } from "./card/facts.js";

/**
 * Markdown with a YAML head that the Hub reads. Two equal runs differ in date and duration alone, which are the run's, not those of writing.
 * @throws HubError `card_metadata` for a licence, language, … that the Hub does not know; `card_private` for a token or a path of this machine
 */
export function modelCard(facts: CardFacts): string {
  const { trainer, model } = facts;
  const data = metadata(facts);
  requireCardMetadata(data, "model");
  const card = `${formatFrontMatter(data)}\n${sections(facts).join("\n\n")}\n`;
  requirePublic(card, trainer === undefined ? [model.base.checkpoint.dir] : [model.base.checkpoint.dir, trainer.args.output_dir]);
  return card;
}

/** Writes README.md, and the figure of the training curves where there are some. */
export async function writeModelCard(folder: string, facts: CardFacts): Promise<void> {
  const svg = curvesSvg(facts.trainer?.state.log_history ?? []);
  const card = modelCard({ ...facts, ...(svg === undefined ? {} : { curves: CURVES_FILE }) });
  await mkdir(folder, { recursive: true });
  // A figure of an earlier run must not stand beside this one's card.
  if (svg === undefined) await rm(join(folder, CURVES_FILE), { force: true });
  else await writeFileAtomic(join(folder, CURVES_FILE), svg);
  await writeFileAtomic(join(folder, "README.md"), card);
}

function metadata(facts: CardFacts): Record<string, unknown> {
  const { repo_id, model } = facts;
  const base = baseModel(facts);
  const datasets = datasetIds(facts);
  const language = [facts.language ?? []].flat();
  const index = modelIndex(basename(repo_id), evaluationsOf(facts));
  return {
    ...(isHubId(base) ? { base_model: base } : {}),
    ...(datasets.length > 0 ? { datasets } : {}),
    ...(language.length > 0 ? { language } : {}),
    library_name: model instanceof PeftModel ? "peft" : "transformers",
    ...licence(facts),
    model_name: basename(repo_id),
    pipeline_tag: "text-generation",
    tags: cardTags(facts),
    ...(index === undefined ? {} : { "model-index": index }),
  };
}

function cardTags({ model, trainer, tags }: CardFacts): string[] {
  const method = trainer === undefined ? [] : ["generated_from_trainer", trainer.method, "trl-compatible"];
  return [...new Set(["preflab", ...method, ...(model instanceof PeftModel ? ["lora"] : []), ...tags])];
}

/** What the model was made from: a Hub id or a local path. A snapshot in the Hub's cache goes by its id. */
function baseModel({ model, trainer }: CardFacts): string {
  return trainer?.manifest?.model.place.repository ?? model.peft_config?.base_model_name_or_path ?? model.name_or_path;
}

function datasetIds({ datasets, trainer }: CardFacts): string[] {
  const read = trainer?.manifest?.data.train.files.flatMap(({ repository }) => repository ?? []) ?? [];
  return [...new Set([...datasets, ...read])];
}

/** The author's word, else that of the base model's card where it lies beside the weights. */
function licence(facts: CardFacts): Record<string, unknown> {
  const names = ["license", "license_name", "license_link"] as const;
  const given = facts.license === undefined ? inheritedLicence(facts) : facts;
  return Object.fromEntries(names.flatMap((name) => (given[name] === undefined ? [] : [[name, given[name]]])));
}

function inheritedLicence({ model }: CardFacts): Record<string, unknown> {
  const file = join(model.base.checkpoint.dir, "README.md");
  if (!existsSync(file)) return {};
  try {
    return parseFrontMatter(readFileSync(file, "utf8")) ?? {};
  } catch {
    // Somebody else's malformed card: it says nothing that can be repeated.
    return {};
  }
}

function sections(facts: CardFacts): string[] {
  const { repo_id, trainer, samples = [] } = facts;
  const base = baseModel(facts);
  const evaluations = evaluationsOf(facts);
  const cited = citations(facts.model, trainer);
  const { manifest } = trainer ?? {};
  return [
    `# ${basename(repo_id)}`,
    introduction(facts, base),
    ...usage(facts, base),
    ...(trainer === undefined ? [] : ["## Training", `The method is ${describeMethod(trainer)}.`]),
    ...(manifest === undefined ? [] : [runTable(manifest)]),
    ...(trainer === undefined ? [] : ["### Hyperparameters", optionTable(trainer), ...curves(facts)]),
    ...results(facts),
    ...(evaluations.length === 0 ? [] : ["### Metrics", evaluationTable(evaluations)]),
    ...(samples.length === 0 ? [] : ["## Samples", ...samples.map(sample)]),
    "## Limitations",
    limitations(facts),
    ...(trainer === undefined || manifest === undefined ? [] : ["## How to reproduce", reproduction(trainer, manifest)]),
    ...(manifest === undefined ? [] : ["## Framework versions", versions(manifest)]),
    ...(cited.length === 0 ? [] : ["## Citations", ...cited]),
  ];
}

function introduction(facts: CardFacts, base: string): string {
  const { model, trainer } = facts;
  // The path itself would tell about somebody's machine.
  const from = isHubId(base) ? `[${base}](https://huggingface.co/${base})` : `a local model, \`${publicName(base)}\``;
  const what = model instanceof PeftModel ? `A LoRA adapter for ${from}` : `A language model that started from ${from}`;
  if (trainer === undefined) return `${what}, saved by Preflab.`;
  const ids = datasetIds(facts);
  const data = ids.length === 0 ? "" : ` on ${ids.map((id) => `[${id}](https://huggingface.co/datasets/${id})`).join(", ")}`;
  return `${what}, trained with ${trainer.method.toUpperCase()}${data} by Preflab.`;
}

function usage(facts: CardFacts, base: string): string[] {
  const { repo_id, model, trainer, language } = facts;
  const adapter = model instanceof PeftModel;
  const tokenizer = facts.tokenizer ?? trainer?.processing_class;
  const local = [
    ...(repo_id.includes("/") ? [] : [`\`${repo_id}\` stands for the folder that holds this card, or for its id on the Hub.`]),
    ...(!adapter || isHubId(base) ? [] : [`\`${publicName(base)}\` stands for the folder of the base model.`]),
  ];
  const shown = usageSections({
    repo_id,
    base: adapter ? publicName(base) : undefined,
    chat: tokenizer !== undefined && tokenizer.chat_template !== null,
    aligned: trainer !== undefined && trainer.method !== "sft",
    languages: [language ?? []].flat(),
  });
  return local.length === 0 ? shown : [shown[0]!, local.join(" "), ...shown.slice(1)];
}

function curves({ trainer, curves: file }: CardFacts): string[] {
  const shown = curvesTable(trainer!.state.log_history);
  if (shown === undefined) return [];
  return ["### Training curves", ...(file === undefined ? [] : [`![Training curves](${file})`]), shown];
}

function results({ trainer, evaluations = [] }: CardFacts): string[] {
  if (trainer === undefined) return evaluations.length === 0 ? [] : ["## Results"];
  return ["## Results", trainer.state.global_step === 0 ? "The model has not been trained yet." : lastValues(trainer)];
}

function sample({ prompt, before, after }: { prompt: string; before?: string; after?: string }): string {
  const parts = [`**Prompt**\n\n${quote(prompt)}`];
  if (before !== undefined) parts.push(`**Before training**\n\n${quote(before)}`);
  if (after !== undefined) parts.push(`**After training**\n\n${quote(after)}`);
  return parts.join("\n\n");
}

/** Said of every model where it is so, then what the author adds. */
function limitations(facts: CardFacts): string {
  const { trainer, model } = facts;
  const rows = trainer?.manifest?.data.train.rows;
  const { state } = trainer ?? {};
  const evaluated = evaluationsOf(facts).some(({ metrics }) => metrics.some(({ type }) => type !== "training_loss"));
  const own = [
    "It has what its base model got wrong, and its biases.",
    ...(rows === undefined ? [] : [`It was trained on ${rows} rows; what they do not show, it has not learned from them.`]),
    ...(state !== undefined && state.global_step < state.max_steps && state.global_step > 0
      ? [`Training was stopped after ${state.global_step} of ${state.max_steps} steps.`]
      : []),
    ...(evaluated ? [] : ["Nothing was measured on rows that it was not trained on."]),
    ...(facts.samples === undefined || facts.samples.length === 0 ? ["No text that it wrote was looked at for this card."] : []),
    ...(model.base.quantization_config === undefined ? [] : ["Its base model was rounded to fewer bits while it was trained."]),
    ...[facts.limitations ?? []].flat(),
  ];
  return own.map((line) => `- ${line}`).join("\n");
}
