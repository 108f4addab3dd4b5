import { formatMarkdown } from "../config/index.js";
import { loadCommands } from "./main.js";

/** The reference of all commands and their flags, as Markdown; docs/options.md holds it. */
export async function formatOptionDocs(): Promise<string> {
  const commands = (await loadCommands()).map(({ usage, summary, tables }) =>
    [`## ${usage}`, summary, ...tables.map(formatMarkdown)].join("\n\n"),
  );
  const intro =
    "Made by `npm run build && node dist/scripts/make-option-docs.js` from the options tables in `src/`. The same names and defaults are the fields of `DPOConfig`, `SFTConfig`, … and `LoraConfig` in code, the keys of a `--config` file, and of the saved `training_args.json`. What is compared with TRL, option by option, is in [parity.md](parity.md).";
  return `# Commands and options\n\n${intro}\n\n${commands.join("\n\n")}\n`;
}
