import { defineOptions } from "../config/index.js";
import { ConfigError } from "../errors.js";
import { type Command, readCommandLine } from "./command.js";

const REPRODUCE_OPTIONS = defineOptions("Options", {
  tolerance: {
    type: "number",
    default: 1e-4,
    min: 0,
    help: "Largest difference of a logged value or a weight, relative where it is above 1, that counts as the same",
  },
  output_dir: {
    type: "string",
    default: null,
    nullable: true,
    placeholder: "DIR",
    help: "Where the repetition goes, an empty folder or a new one; null for RUN_DIR-reproduced",
  },
  allow_changes: {
    type: "boolean",
    default: false,
    aliases: ["allow-changes"],
    help: "Go on although data, base model, packages or Preflab itself are no longer those of the run; what has changed is told",
  },
});

const WHERE = "preflab reproduce";

export const reproduce: Command = {
  name: "reproduce",
  usage: "preflab reproduce RUN_DIR [--tolerance T] [--output_dir DIR] [--allow_changes]",
  summary:
    "Repeats a training run from its run_manifest.json and says identical, within tolerance, or different with the first step. The exit code is 1 when it is different, or when the inputs have changed and --allow_changes was not given.",
  tables: [REPRODUCE_OPTIONS],
  async prepare(argv) {
    const { values, positionals } = await readCommandLine(WHERE, [REPRODUCE_OPTIONS], argv);
    const [dir, ...others] = positionals;
    if (dir === undefined || others.length > 0) {
      throw new ConfigError(
        "run_dir",
        `${WHERE}: one RUN_DIR must be given, got ${positionals.length === 0 ? "none" : positionals.join(" ")}`,
      );
    }
    const { output_dir, ...options } = REPRODUCE_OPTIONS.resolve(values[0]!, { where: WHERE, prefix: "--" });

    return async () => {
      // Importing it lets Hub ids stand where a path can.
      const [{ reproduceRun }] = await Promise.all([import("../train/index.js"), import("../hub/index.js")]);
      const result = await reproduceRun(dir, { ...options, ...(output_dir === null ? {} : { output_dir }) });
      console.log(`${result.message}\nthe repetition is in ${result.output_dir}`);
      return result.verdict === "different" ? 1 : 0;
    };
  },
};
