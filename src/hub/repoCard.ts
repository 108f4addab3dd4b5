/** The README.md of a repository, with the interface of huggingface_hub's `ModelCard` and `DatasetCard`. */
import { mkdir, readFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { parse } from "yaml";
import { type RepositoryOptions, fetchRepository } from "../data/repository.js";
import { HubError } from "../errors.js";
import { writeFileAtomic } from "../text/atomicFile.js";
import type { RepositoryAddress } from "./address.js";
import { type PushResult, type PushToHubOptions, push } from "./push.js";

const NAME = "README.md";
const HEAD = /^---\r?\n([\s\S]*?)\r?\n---(\r?\n|$)/;

class RepoCard {
  constructor(
    /** All of the file: the YAML head and the text. */
    readonly content: string,
    private readonly kind: RepositoryAddress["kind"],
  ) {}

  /** The YAML head; {} without one. @throws HubError `hub_card` when it cannot be read */
  get data(): Record<string, unknown> {
    const head = HEAD.exec(this.content)?.[1];
    if (head === undefined) return {};
    try {
      const value: unknown = parse(head, { version: "1.1" });
      if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
    } catch (error) {
      throw new HubError("hub_card", `card: its head must be YAML, got ${(error as Error).message.split("\n")[0]!}; repair it`, {
        cause: error,
      });
    }
    throw new HubError("hub_card", "card: its head must be YAML names and values, got something else; repair it");
  }

  /** The text after the head. */
  get text(): string {
    return this.content.replace(HEAD, "");
  }

  async save(path: string): Promise<void> {
    await mkdir(dirname(resolve(path)), { recursive: true });
    await writeFileAtomic(path, this.content);
  }

  /** Commits the card as README.md. Without a token it is written to a local folder instead, and a line says so.
   *  @throws HubError, `hub_card` before anything is sent when its head cannot be read */
  async push_to_hub(repo_id: string, options: PushToHubOptions = {}): Promise<PushResult> {
    void this.data;
    const { kind } = this;
    const save = (folder: string): Promise<void> => this.save(join(folder, NAME));
    return push(
      { where: "push_to_hub", repo_id, kind, directory: join("hub", String(repo_id)), message: "Upload card", save, upload: {} },
      options,
    );
  }
}

async function loadCard(
  where: string,
  kind: RepositoryAddress["kind"],
  repo_id_or_path: string,
  options: RepositoryOptions,
): Promise<string> {
  const fetched = await fetchRepository(where, repo_id_or_path, { kind, select: () => [NAME] }, options);
  const path = fetched === undefined ? repo_id_or_path : join(fetched.dir, NAME);
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    throw new HubError("hub_card", `${where}: the card must be a file or in a repository, got ${repo_id_or_path}; check the name`, {
      cause: error,
    });
  }
}

/** The card of a model or an adapter. */
export class ModelCard extends RepoCard {
  constructor(content: string) {
    super(content, "model");
  }

  /** @param repo_id_or_path a file, or `owner/name` */
  static async load(repo_id_or_path: string, options: RepositoryOptions = {}): Promise<ModelCard> {
    return new ModelCard(await loadCard("ModelCard.load", "model", repo_id_or_path, options));
  }
}

/** The card of a data set. */
export class DatasetCard extends RepoCard {
  constructor(content: string) {
    super(content, "dataset");
  }

  /** @param repo_id_or_path a file, or `owner/name` */
  static async load(repo_id_or_path: string, options: RepositoryOptions = {}): Promise<DatasetCard> {
    return new DatasetCard(await loadCard("DatasetCard.load", "dataset", repo_id_or_path, options));
  }
}
