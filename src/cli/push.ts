import { defineOptions } from "../config/index.js";
import { ConfigError } from "../errors.js";
import { type Command, readCommandLine } from "./command.js";

const PUSH_OPTIONS = defineOptions("Options", {
  repo_type: {
    type: "string",
    default: "model",
    choices: ["model", "dataset"],
    help: "Models, adapters and tokenizers are one kind, data sets the other",
  },
  private: { type: "boolean", default: false, help: "Others may not see a repository that is made by this" },
  revision: { type: "string", default: null, nullable: true, help: "Branch to commit to, made from main when it is new; default main" },
  create_pr: { type: "boolean", default: false, help: "Propose the commit in a pull request instead" },
  commit_message: { type: "string", default: null, nullable: true, help: "Title of the commit" },
  commit_description: { type: "string", default: null, nullable: true, help: "The rest of its message" },
  ignore_patterns: {
    type: "string",
    list: true,
    default: [],
    help: "Files to leave out, as in .gitignore, beside checkpoints and hidden files",
  },
});

const WHERE = "preflab push";

export const push: Command = {
  name: "push",
  usage: "preflab push FOLDER REPO_ID [--private] [--revision NAME] [--create_pr]",
  summary: "Uploads a saved model, adapter or data set to the Hub (HF_ENDPOINT, HF_TOKEN), as one commit of exactly what lies in FOLDER.",
  tables: [PUSH_OPTIONS],
  async prepare(argv) {
    const { values, positionals } = await readCommandLine(WHERE, [PUSH_OPTIONS], argv);
    const [folder, repo, ...others] = positionals;
    if (folder === undefined || repo === undefined || others.length > 0) {
      throw new ConfigError(
        "push_arguments",
        `${WHERE}: FOLDER and REPO_ID must be given, got ${positionals.length === 0 ? "none" : positionals.join(" ")}`,
      );
    }
    const options = PUSH_OPTIONS.resolve(values[0]!, { where: WHERE, prefix: "--" });
    return async () => {
      const { upload_folder } = await import("../hub/index.js");
      const { url, pr_url, commit } = await upload_folder(repo, folder, {
        repo_type: options.repo_type === "dataset" ? "dataset" : "model",
        // The account's own setting unless asked for.
        ...(options.private ? { private: true } : {}),
        create_pr: options.create_pr,
        ...(options.revision === null ? {} : { revision: options.revision }),
        ...(options.commit_message === null ? {} : { commit_message: options.commit_message }),
        ...(options.commit_description === null ? {} : { commit_description: options.commit_description }),
        ignore_patterns: options.ignore_patterns,
      });
      console.log(`${pr_url ?? url!} has commit ${commit!.slice(0, 7)}`);
      return 0;
    };
  },
};
