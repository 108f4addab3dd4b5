/** `push_to_hub` of models, tokenizers and trainers, with transformers' and TRL's interface. */
import { existsSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { CausalLM, PeftModel } from "../model/index.js";
import { writeFileAtomic } from "../text/atomicFile.js";
import { PreTrainedTokenizer } from "../text/index.js";
import { Trainer } from "../train/index.js";
import { CARD_DETAILS, type CardDetails } from "./card/facts.js";
import { modelCard, writeModelCard } from "./modelCard.js";
import { type PushResult, type PushToHubOptions, push } from "./push.js";
import type { UploadOptions } from "./upload.js";

export interface PushTrainerOptions extends PushToHubOptions, CardDetails {
  /** Hub ids of the data, for the model card. */
  dataset_name?: string | readonly string[];
  /** Further tags for the model card. */
  tags?: readonly string[];
}

const WEIGHTS = /^model(-\d{5}-of-\d{5})?\.safetensors(\.index\.json)?$/;
/** A full model's weights beside new ones would be loaded instead of them, or with them. An adapter leaves them alone. */
function obsoleteBeside(model: CausalLM): UploadOptions["obsolete"] {
  return model instanceof PeftModel ? undefined : (path) => WEIGHTS.test(path);
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
