/**
 * The comparison of our option tables with TRL's, transformers' and PEFT's classes: docs/parity.md, and what its test asserts.
 * The other side is tests/golden/trl_options.json, written by scripts/golden/trl_options.py.
 */
import { readFileSync } from "node:fs";
import { defineOptions, describeValue, type OptionSpec, type OptionTable } from "../src/config/index.js";
import { LORA_OPTIONS, UNSUPPORTED_LORA, LORA_INFORMATION } from "../src/model/loraConfig.js";
import { CPO_OPTIONS, DPO_OPTIONS, KTO_OPTIONS, ORPO_OPTIONS, SFT_OPTIONS } from "../src/train/index.js";

/** An option of a Python class. */
interface ReferenceOption {
  default: unknown;
  /** All values that the class or its trainer knows, where there is a list of them. */
  values?: string[];
}

export interface ReferenceOptions {
  versions: Record<string, string>;
  classes: Record<string, Record<string, ReferenceOption>>;
}

/** What becomes of one option of a Python class. */
export interface ParityRow {
  name: string;
  theirs: ReferenceOption;
  status: "supported" | "differs" | "no effect" | "refused" | "unknown";
  /** Why or what, in Markdown. */
  note: string;
  /** Whether the defaults say the same; true for what is no option here. */
  sameDefault: boolean;
  /** Values of theirs that are neither offered nor refused with a reason. */
  missingValues: string[];
}

const LORA = defineOptions("LoraConfig", {
  ...LORA_OPTIONS.entries,
  rank_pattern: { type: "json", default: {}, nullable: true, help: "" },
  alpha_pattern: { type: "json", default: {}, nullable: true, help: "" },
  init_lora_weights: {
    type: "boolean",
    default: true,
    help: "",
    differs: "true, false and gaussian; starts that need data or change the base model's weights are refused",
  },
  ...Object.fromEntries(Object.entries(UNSUPPORTED_LORA).map(([name, refused]) => [name, { refused }])),
  ...Object.fromEntries(LORA_INFORMATION.map((name) => [name, { removed: "it is kept when an adapter's file is read and written again" }])),
});

/** Our table for each Python class. */
export const PARITY_TABLES: Readonly<Record<string, OptionTable>> = {
  DPOConfig: DPO_OPTIONS,
  SFTConfig: SFT_OPTIONS,
  KTOConfig: KTO_OPTIONS,
  CPOConfig: CPO_OPTIONS,
  ORPOConfig: ORPO_OPTIONS,
  LoraConfig: LORA,
};

/** One row for each option of the Python class, in its order. */
export function compareOptions(theirs: Readonly<Record<string, ReferenceOption>>, table: OptionTable): ParityRow[] {
  return Object.entries(theirs).map(([name, option]): ParityRow => {
    const row = { name, theirs: option, sameDefault: true, missingValues: [] };
    const canonical = table.canonicalName(name);
    if (canonical !== undefined) return compareSpec(row, table.specs.get(canonical)!);
    const entry = Object.hasOwn(table.entries, name) ? table.entries[name] : undefined;
    if (entry !== undefined && "removed" in entry) return { ...row, status: "no effect", note: entry.removed };
    if (entry !== undefined && "refused" in entry) return { ...row, status: "refused", note: entry.refused };
    return { ...row, status: "unknown", note: "" };
  });
}

function compareSpec(row: Omit<ParityRow, "status" | "note">, spec: OptionSpec): ParityRow {
  const ours = spec.default ?? null;
  const choices = spec.type === "string" ? spec.choices : undefined;
  const refused = spec.type === "string" ? Object.keys(spec.refusedChoices ?? {}) : [];
  const values = choices === undefined ? [] : (row.theirs.values ?? []);
  const notOffered = values.filter((value) => !choices!.includes(value));
  const added = row.theirs.values === undefined ? [] : (choices ?? []).filter((value) => !row.theirs.values!.includes(value));
  const sameDefault = canonicalJson(ours) === canonicalJson(row.theirs.default);
  const notes = [
    sameDefault ? "" : `default here \`${describeValue(ours)}\``,
    spec.differs ?? "",
    notOffered.length === 0 ? "" : `not offered: ${notOffered.join(", ")}`,
    added.length === 0 ? "" : `only here: ${added.join(", ")}`,
  ].filter((note) => note !== "");
  return {
    ...row,
    status: notes.length === 0 ? "supported" : "differs",
    note: notes.join(". "),
    sameDefault,
    missingValues: notOffered.filter((value) => !refused.includes(value)),
  };
}

/** A list of one says the same as its value. */
function canonicalJson(value: unknown): string {
  return JSON.stringify(Array.isArray(value) && value.length === 1 ? value[0] : value);
}

const SIGNS = { supported: "yes", differs: "yes, differs", "no effect": "accepted, no effect", refused: "refused", unknown: "UNKNOWN" };

/** docs/parity.md. @param checked Markdown of the second part: where each behaviour is tested */
export function formatParity(reference: ReferenceOptions, checked: string): string {
  const versions = Object.entries(reference.versions).map(([name, version]) => `${name} ${version}`);
  const sections = Object.entries(PARITY_TABLES).map(([name, table]) => formatClass(name, reference.classes[name]!, table));
  const intro = [
    "Made by `npm run build && node dist/scripts/make-option-docs.js` from the options tables in `src/`, `tests/golden/trl_options.json` and `docs/parity-tests.md`.",
    `Compared with ${versions.join(", ")}. yes: the option has TRL's name, default and meaning. yes, differs: what is different. accepted, no effect: it may be given, changes nothing, and a note says why. refused: an error that says why, unless it is given with the value that means "not used".`,
    "A value that makes no sense, and an option that would have no effect beside the others, are errors here also where TRL accepts them; `docs/options.md` has the ranges.",
  ];
  return `${["# Parity with TRL", ...intro, "# Options", ...sections, checked.trim()].join("\n\n")}\n`;
}

function formatClass(name: string, theirs: Readonly<Record<string, ReferenceOption>>, table: OptionTable): string {
  const rows = compareOptions(theirs, table);
  const counts = (Object.keys(SIGNS) as ParityRow["status"][])
    .map((status) => [rows.filter((row) => row.status === status).length, SIGNS[status]] as const)
    .filter(([count]) => count > 0)
    .map(([count, sign]) => `${count} ${sign}`);
  const own = [...table.specs.keys()].filter((option) => !Object.hasOwn(theirs, option));
  return [
    `## ${name}`,
    `${rows.length} options: ${counts.join(" · ")}.`,
    ["| option | TRL's default | here | |", "|---|---|---|---|", ...rows.map(formatRow)].join("\n"),
    `Only here: ${own.map((option) => `\`${option}\``).join(", ") || "none"}.`,
  ].join("\n\n");
}

function formatRow({ name, theirs, status, note }: ParityRow): string {
  const cells = [`\`${name}\``, `\`${describeValue(theirs.default)}\``, SIGNS[status], note];
  return `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
}

/** The comparison with the repository's reference file. @param root folder of the repository */
export function readReference(root: string): { reference: ReferenceOptions; checked: string } {
  return {
    reference: JSON.parse(readFileSync(`${root}/tests/golden/trl_options.json`, "utf8")) as ReferenceOptions,
    checked: readFileSync(`${root}/docs/parity-tests.md`, "utf8"),
  };
}
