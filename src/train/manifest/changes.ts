/** What of a run's inputs is no longer as it was. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fetchRepository } from "../../data/repository.js";
import { ConfigError } from "../../errors.js";
import { hashFile } from "./fingerprint.js";
import type { DataRecord, FileRecord, Place, RunInputs, RunManifest, SoftwareRecord } from "./runManifest.js";

const WHERE = "preflab reproduce";

/** Where a recorded file or folder lies now; one of the Hub is fetched at its commit. @param kind what the repository holds */
export async function locate(place: Place, kind: "model" | "dataset", files?: readonly string[]): Promise<string> {
  const { path, repository, commit } = place;
  if (repository === undefined) return path;
  const select = (): readonly string[] => files ?? [path];
  const fetched = await fetchRepository(WHERE, repository, { kind, select }, { revision: commit });
  return join(fetched!.dir, path);
}

/** The recorded files whose content differs now, one line each. @throws ConfigError `input_missing` */
export async function changedFiles(manifest: RunManifest): Promise<string[]> {
  const { data, model, ref_model } = manifest;
  const lists: (readonly [string, "model" | "dataset", readonly FileRecord[]])[] = [
    ["training data", "dataset", data.train.files],
    ...Object.values(data.eval).map((set) => ["evaluation data", "dataset", set.files] as const),
    ["base model", "model", model.files],
    ...(ref_model === null ? [] : [["reference model", "model", ref_model.files] as const]),
  ];
  const changes: string[] = [];
  for (const [what, kind, files] of lists) {
    for (const file of files) {
      const path = await locate(file, kind);
      if (!existsSync(path))
        throw new ConfigError(
          "input_missing",
          `${WHERE}: ${what}: ${path} must be there, got no such file; put it back where the run read it`,
        );
      const now = await hashFile(path);
      if (now.sha256 !== file.sha256)
        changes.push(`${what}: ${path} has other content, sha256 ${short(file.sha256)} then, ${short(now.sha256)} now`);
    }
  }
  return changes;
}

/** Everything else that differs between a run's inputs and those of its repetition: `changes` may change the numbers by themselves. */
export function compareInputs(then: RunInputs, now: RunInputs): { changes: string[]; notes: string[] } {
  const changes = [
    ...compareRows("training data", then.data.train, now.data.train),
    ...Object.keys(then.data.eval).flatMap((name) =>
      compareRows(`evaluation data${name === "" ? "" : ` ${name}`}`, then.data.eval[name]!, now.data.eval[name]!),
    ),
    ...differing("tokenizer", short(then.tokenizer.sha256), short(now.tokenizer.sha256)),
    ...compareSoftware(then.software, now.software),
  ];
  const hardware = (["cpu", "cores", "threads", "platform"] as const).flatMap((name) =>
    differing(name, String(then.hardware[name]), String(now.hardware[name])),
  );
  return { changes, notes: hardware };
}

function compareRows(what: string, then: DataRecord, now: DataRecord): string[] {
  return differing(`${what}: the rows`, short(then.sha256), short(now.sha256));
}

function compareSoftware(then: SoftwareRecord, now: SoftwareRecord): string[] {
  const names = [...new Set([...Object.keys(then.packages), ...Object.keys(now.packages)])];
  const code = then.code_sha256 === now.code_sha256 ? [] : differing("Preflab's code", codeName(then), codeName(now));
  return [
    ...differing("Preflab", then.preflab, now.preflab),
    ...code,
    ...differing("Node.js", then.node, now.node),
    ...names.flatMap((name) => differing(name, then.packages[name] ?? "not installed", now.packages[name] ?? "not installed")),
  ];
}

function codeName({ commit, code_sha256 }: SoftwareRecord): string {
  return `sha256 ${short(code_sha256)}${commit === null ? "" : ` (commit ${commit.slice(0, 7)})`}`;
}

function differing(what: string, then: string, now: string): string[] {
  return then === now ? [] : [`${what}: ${then} then, ${now} now`];
}

function short(hash: string): string {
  return hash.slice(0, 12);
}
