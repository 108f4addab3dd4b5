import { LAUNCH_OPTIONS, QUEUE_OPTIONS } from "../app/queueOptions.js";
import { defineOptions } from "../config/index.js";
import { ConfigError } from "../errors.js";
import { type Command, readCommandLine } from "./command.js";
import { onInterrupt } from "./interrupt.js";

const APP_OPTIONS = defineOptions("App", {
  adapter: {
    type: "string",
    default: null,
    nullable: true,
    placeholder: "DIR",
    help: "Folder or Hub id of a LoRA adapter for that model; both answer side by side",
  },
  compare_with: {
    type: "string",
    default: null,
    nullable: true,
    placeholder: "DIR",
    help: "Another model, which answers beside the first; with --adapter, this one in place of the base model",
  },
  dtype: { type: "string", choices: ["fp32", "q8", "q4"], default: "fp32", help: "Number format of the weights, as for preflab generate" },
  preferences_file: {
    type: "string",
    default: null,
    nullable: true,
    placeholder: "FILE",
    help: "A jsonl file that gets a preference pair for likes and dislikes, as preflab dpo takes it; without it there are no such buttons",
  },
  system_message: { type: "string", default: null, nullable: true, help: "Begins every conversation" },
  title: { type: "string", default: null, nullable: true, help: "Title of the page; the model's name where it is not given" },
  example: { type: "string", list: true, repeat: true, default: [], help: "A message to begin with; repeat for more" },
});

const WHERE = "preflab app";
const TABLES = [APP_OPTIONS, QUEUE_OPTIONS, LAUNCH_OPTIONS];

export const app: Command = {
  name: "app",
  usage: "preflab app MODEL_DIR [--adapter DIR] [--preferences_file FILE] [flags]",
  summary:
    "Serves a chat with a model as a web page. The same address answers Gradio's clients and, under /v1, those of OpenAI's chat API.",
  tables: TABLES,
  async prepare(argv) {
    const { values, positionals } = await readCommandLine(WHERE, TABLES, argv);
    const [dir, ...others] = positionals;
    if (dir === undefined || others.length > 0)
      throw new ConfigError(
        "app_model",
        `${WHERE}: one MODEL_DIR must be given, got ${positionals.length === 0 ? "none" : positionals.join(" ")}`,
      );
    const check = { where: WHERE, prefix: "--" };
    const options = APP_OPTIONS.resolve(values[0]!, check);
    const queue = QUEUE_OPTIONS.resolve(values[1]!, check);
    const launch = LAUNCH_OPTIONS.resolve(values[2]!, check);

    return async () => {
      const [{ ChatInterface }, { AutoTokenizer }, { AutoModelForCausalLM, PeftModel }] = await Promise.all([
        import("../app/index.js"),
        import("../text/index.js"),
        import("../model/index.js"),
        // Importing it lets Hub ids stand where a path can.
        import("../hub/index.js"),
      ]);
      const { adapter, compare_with, dtype, preferences_file, system_message, title, example } = options;
      const tokenizer = await AutoTokenizer.from_pretrained(dir);
      const base = await AutoModelForCausalLM.from_pretrained(dir, { dtype });
      const model = adapter === null ? base : await PeftModel.from_pretrained(base, adapter);
      const other = compare_with === null ? undefined : await AutoModelForCausalLM.from_pretrained(compare_with, { dtype });
      const beside = other ?? (adapter === null ? undefined : ("base" as const));
      let end = (): void => undefined;
      const ended = new Promise<void>((resolve) => (end = resolve));
      const interrupt = onInterrupt(() => end(), "Ending; ctrl-C again ends at once.");
      try {
        const chat = new ChatInterface({
          model,
          tokenizer,
          ...(beside === undefined ? {} : { compare_with: beside }),
          ...(preferences_file === null ? {} : { preferences_file }),
          ...(system_message === null ? {} : { system_message }),
          title: title ?? dir.replace(/\/+$/, "").split("/").at(-1)!,
          examples: example,
          ...queue,
        });
        const server = await chat.launch(launch);
        await ended;
        await server.stop();
        // Ending is what a server is interrupted for.
        return 0;
      } finally {
        interrupt.release();
        await model.dispose();
        await base.dispose();
        await other?.dispose();
      }
    };
  },
};
