/** Any folder of this machine as a commit, as huggingface_hub's `upload_folder`. */
import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import { ConfigError, HubError } from "../errors.js";
import type { RepositoryAddress } from "./address.js";
import { hubSettings } from "./environment.js";
import { isIgnored } from "./globs.js";
import { type PushResult, type PushToHubOptions, checkNames, checkRepoId, uploadOptions } from "./push.js";
import { uploadFolder } from "./upload.js";

export interface UploadFolderOptions extends Omit<PushToHubOptions, "local_dir"> {
  /** Default "model", which adapters and tokenizers are too. */
  repo_type?: RepositoryAddress["kind"];
  /** Files to leave out, as in `.gitignore`, beside those that are always left out: hidden ones, checkpoints to resume from, temporary ones. */
  ignore_patterns?: readonly string[];
}

const ALWAYS_IGNORED = [".*", "checkpoint-*/", "hub/", "*.tmp"];
const OPTION_NAMES = [
  "token",
  "private",
  "commit_message",
  "commit_description",
  "revision",
  "create_pr",
  "progress",
  "repo_type",
  "ignore_patterns",
];

/**
 * Uploads what lies in a folder as one commit. Files of the repository that the folder lacks stay there.
 * @param repo_id `owner/name`, or `name` in the token's own namespace
 * @throws ConfigError `repo_id`, `folder_path`; HubError, `hub_token_missing` and `hub_offline` among them
 */
export async function upload_folder(repo_id: string, folder_path: string, options: UploadFolderOptions = {}): Promise<PushResult> {
  const where = "upload_folder";
  checkRepoId(where, repo_id);
  checkNames(where, options, OPTION_NAMES);
  const isFolder = await stat(folder_path).then(
    (status) => status.isDirectory(),
    () => false,
  );
  if (!isFolder) throw new ConfigError("folder_path", `${where}: folder_path must be a folder, got ${JSON.stringify(folder_path)}`);
  const settings = hubSettings({ token: options.token });
  const { token } = settings;
  if (settings.offline) throw new HubError("hub_offline", `${where}: the Hub must be asked, got HF_HUB_OFFLINE; unset it`);
  if (token === undefined)
    throw new HubError("hub_token_missing", `${where}: an access token must be there, got none; set HF_TOKEN, or run hf auth login`);
  const ignore = [...ALWAYS_IGNORED, ...(options.ignore_patterns ?? [])].join("\n");
  const { url, commit, pullRequestUrl } = await uploadFolder(
    resolve(folder_path),
    options.repo_type ?? "model",
    repo_id,
    { ...settings, token },
    {
      ...uploadOptions(options, "Upload folder"),
      ignore: (path) => path !== ".gitattributes" && isIgnored(ignore, path),
    },
  );
  return { url, directory: null, commit, pr_url: pullRequestUrl ?? null };
}
