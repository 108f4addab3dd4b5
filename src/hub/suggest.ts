/** The nearest known name for one that the Hub does not know. */
import { readdir } from "node:fs/promises";
import { listDatasets, listModels } from "@huggingface/hub";
import { nearestName } from "../errors.js";
import type { RepositoryAddress } from "./address.js";
import type { HubSettings } from "./environment.js";

/** Repositories of one owner that are looked through. */
const MOST_NAMES = 500;

/** A repository with nearly the same name: of the same owner on the Hub, or in the cache. Never throws: it serves an error message. */
export async function suggestRepository(settings: HubSettings, { kind, id }: RepositoryAddress): Promise<string | undefined> {
  const owner = id.split("/")[0]!;
  const names = await cachedNames(settings, kind);
  const limited: typeof fetch = (input, init) => fetch(input, { ...init, signal: AbortSignal.timeout(5000) });
  const params = { search: { owner }, limit: MOST_NAMES, hubUrl: settings.endpoint, fetch: limited };
  try {
    for await (const { name } of kind === "model" ? listModels(params) : listDatasets(params)) names.push(name);
  } catch {
    // The names of the cache remain.
  }
  const nearest = nearestName(id, names);
  return nearest === id ? undefined : nearest;
}

async function cachedNames({ cacheDir }: HubSettings, kind: RepositoryAddress["kind"]): Promise<string[]> {
  const folders = await readdir(cacheDir).catch(() => [] as string[]);
  return folders.filter((name) => name.startsWith(`${kind}s--`)).map((name) => name.split("--").slice(1).join("/"));
}
