/** `push_to_hub` of models, tokenizers and trainers, with transformers' and TRL's interface. */
import { existsSync } from "node:fs";
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { unknownOption } from "../config/index.js";
import { type RepositoryOptions, isRepositoryId } from "../data/repository.js";
import { ConfigError, HubError, PreflabError } from "../errors.js";
import { CausalLM, PeftModel } from "../model/index.js";
import { writeFileAtomic } from "../text/atomicFile.js";
import { PreTrainedTokenizer } from "../text/index.js";
import { Trainer } from "../train/index.js";
import { hubSettings } from "./environment.js";
import { CARD_DETAILS, type CardDetails } from "./card/facts.js";
import { modelCard, writeModelCard } from "./modelCard.js";
import { type UploadOptions, uploadFolder } from "./upload.js";

export interface PushToHubOptions {
  /** An access token that may write; false for none. Default: HF_TOKEN, else the one that `hf auth login` saved. */
  token?: string | false;
  /** Whether others may not see a repository that is made by this push. Default: the account's setting, normally public. */
  private?: boolean;
  commit_message?: string;
  /** Branch to commit to, made from `main` when it is new; default `main`. */
  revision?: string;
  /** Where the files go without a token (or with HF_HUB_OFFLINE=1), and when the upload fails.
   *  Default `hub/REPO_ID`, of a trainer in its `output_dir`. */
  local_dir?: string;
  /** Told about the upload; default prints to stdout, false for silence. */
  progress?: RepositoryOptions["progress"];
}

export interface PushTrainerOptions extends PushToHubOptions, CardDetails {
  /** Hub ids of the data, for the model card. */
  dataset_name?: string | readonly string[];
  /** Further tags for the model card. */
  tags?: readonly string[];
}

/** Either on the Hub (`url` and `commit`) or on this machine (`directory`). */
export interface PushResult {
  url: string | null;
  directory: string | null;
  commit: string | null;
}

/** What is pushed. */
interface Parcel {
  readonly where: string;
  readonly repo_id: string;
  /** Default of `local_dir`. */
  readonly directory: string;
  readonly message: string;
  /** Writes all files into a folder. */
  save(folder: string): Promise<void>;
  readonly upload: Pick<UploadOptions, "obsolete" | "keep">;
}

const WEIGHTS = /^model(-\d{5}-of-\d{5})?\.safetensors(\.index\.json)?$/;
/** A full model's weights beside new ones would be loaded instead of them, or with them. An adapter leaves them alone. */
function obsoleteBeside(model: CausalLM): UploadOptions["obsolete"] {
  return model instanceof PeftModel ? undefined : (path) => WEIGHTS.test(path);
}

const OPTION_NAMES = ["token", "private", "commit_message", "revision", "local_dir", "progress"];

async function push(parcel: Parcel, options: PushToHubOptions, more: readonly string[] = []): Promise<PushResult> {
  const { where, repo_id } = parcel;
  checkRequest(parcel, options, [...OPTION_NAMES, ...more]);
  const settings = hubSettings({ token: options.token });
  const directory = resolve(options.local_dir ?? parcel.directory);
  const { token } = settings;
  if (token === undefined || settings.offline) {
    await parcel.save(directory);
    const reason = token === undefined ? "no token (set HF_TOKEN, or run hf auth login)" : "HF_HUB_OFFLINE is set";
    console.log(`${where}: ${reason}; ${repo_id} was written to ${directory}`);
    return { url: null, directory, commit: null };
  }
  const folder = await mkdtemp(join(tmpdir(), "preflab-push-"));
  try {
    await parcel.save(folder);
    const { revision, private: hidden, progress } = options;
    const upload = { ...parcel.upload, revision, private: hidden, progress, message: options.commit_message ?? parcel.message };
    try {
      const { url, commit } = await uploadFolder(folder, "model", repo_id, { ...settings, token }, upload);
      return { url, directory: null, commit };
    } catch (error) {
      if (!(error instanceof PreflabError)) throw error;
      await cp(folder, directory, { recursive: true });
      throw new HubError(error.code, `${error.message}. Nothing is lost: the files are in ${directory}, and ${where} can be repeated`, {
        cause: error,
      });
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function checkRequest({ where, repo_id }: Parcel, options: PushToHubOptions, names: readonly string[]): void {
  if (typeof repo_id !== "string" || !isRepositoryId(repo_id.includes("/") ? repo_id : `owner/${repo_id}`)) {
    throw new ConfigError(
      "repo_id",
      `${where}: repo_id must be "owner/name" or "name" (letters, digits, "-", "_", "."; 96 at most), got ${JSON.stringify(repo_id)}`,
    );
  }
  const unknown = Object.keys(options).find((name) => !names.includes(name));
  if (unknown !== undefined) throw unknownOption(unknown, names, { where });
}

declare module "../model/causalLM.js" {
  interface CausalLM {
    /**
     * Uploads the model, or the adapter alone, as one commit; a repository without README.md gets a small model card. Without a token the
     * files are written to a local folder instead, and a line says so.
     * @param repo_id `owner/name`, or `name` in the token's own namespace
     * @throws HubError; the files then lie in `local_dir`
     */
    push_to_hub(repo_id: string, options?: PushToHubOptions): Promise<PushResult>;
  }
}

CausalLM.prototype.push_to_hub = async function push_to_hub(
  this: CausalLM,
  repo_id: string,
  options: PushToHubOptions = {},
): Promise<PushResult> {
  return push(
    {
      where: "push_to_hub",
      repo_id,
      directory: join("hub", String(repo_id)),
      message: this instanceof PeftModel ? "Upload adapter" : "Upload model",
      save: async (folder) => {
        await this.save_pretrained(folder);
        const card = join(folder, "README.md");
        if (!existsSync(card)) await writeFileAtomic(card, modelCard({ repo_id, model: this, datasets: [], tags: [] }));
      },
      upload: { obsolete: obsoleteBeside(this), keep: (path) => path === "README.md" },
    },
    options,
  );
};

declare module "../text/tokenizer.js" {
  interface PreTrainedTokenizer {
    /** Uploads the tokenizer's files as one commit, or without a token writes them to a local folder; see the model's `push_to_hub`.
     *  @throws HubError; the files then lie in `local_dir` */
    push_to_hub(repo_id: string, options?: PushToHubOptions): Promise<PushResult>;
  }
}

PreTrainedTokenizer.prototype.push_to_hub = async function push_to_hub(
  this: PreTrainedTokenizer,
  repo_id: string,
  options: PushToHubOptions = {},
): Promise<PushResult> {
  const save = (folder: string): Promise<void> => this.save_pretrained(folder);
  return push(
    { where: "push_to_hub", repo_id, directory: join("hub", String(repo_id)), message: "Upload tokenizer", save, upload: {} },
    options,
  );
};

declare module "../train/loop/trainer.js" {
  interface Trainer {
    /**
     * Uploads what `save_model` saves, with a model card of the run, as one commit. Without a token the files are written to
     * `output_dir/hub/REPO_ID` instead, and a line says so.
     * @param repo_id `owner/name`, or `name` in the token's own namespace; default the name of `output_dir`
     * @throws HubError; the files then lie in `local_dir`
     */
    push_to_hub(repo_id?: string, options?: PushTrainerOptions): Promise<PushResult>;
  }
}

Trainer.prototype.push_to_hub = async function push_to_hub(
  this: Trainer,
  repo_id: string = basename(resolve(this.args.output_dir)),
  { dataset_name = [], tags = [], ...options }: PushTrainerOptions = {},
): Promise<PushResult> {
  const details: CardDetails = Object.fromEntries(
    CARD_DETAILS.flatMap((name) => (options[name] === undefined ? [] : [[name, options[name]]])),
  );
  const facts = { repo_id, model: this.model, trainer: this, datasets: [dataset_name].flat(), tags, ...details };
  return push(
    {
      where: "push_to_hub",
      repo_id,
      directory: join(this.args.output_dir, "hub", String(repo_id)),
      message: "End of training",
      save: async (folder) => {
        await this.save_model(folder);
        await writeModelCard(folder, facts);
      },
      upload: { obsolete: obsoleteBeside(this.model) },
    },
    options,
    ["dataset_name", "tags", ...CARD_DETAILS],
  );
};
