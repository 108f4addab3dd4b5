import { defineOptions } from "../config/index.js";
import { ConfigError } from "../errors.js";
import { SAMPLING_OPTIONS } from "../generate/sampling.js";
import type { CausalLM } from "../model/index.js";
import type { PreTrainedTokenizer } from "../text/index.js";
import { type Command, readCommandLine, refusePositionals } from "./command.js";

const INPUT_OPTIONS = defineOptions("Model and prompts", {
  model_name_or_path: {
    type: "string",
    required: true,
    placeholder: "DIR",
    help: "Folder of a Qwen2 or Qwen2.5 checkpoint with its tokenizer, or its id on the Hugging Face Hub",
  },
  adapter: { type: "string", default: null, nullable: true, placeholder: "DIR", help: "Folder or Hub id of a LoRA adapter for that model" },
  dtype: {
    type: "string",
    choices: ["fp32", "q8", "q4"],
    default: "fp32",
    help: "Number format of the weights: q8 and q4 round the matrices to 8 or 4 bits while they are read, which is faster and takes less memory",
  },
  prompt: { type: "string", list: true, repeat: true, required: true, help: "A prompt; repeat for more" },
  chat: { type: "boolean", default: false, help: "Put each prompt into the chat template as a user's message" },
  json: { type: "boolean", default: false, help: "Print one JSON object a prompt: prompt, prompt_ids, new_ids, text, tokens_per_second" },
});

const LENGTH_OPTIONS = defineOptions("Length, end and seed", {
  max_new_tokens: {
    type: "integer",
    default: null,
    nullable: true,
    min: 1,
    unit: "tokens",
    help: "Most new tokens; comes before max_length. Without both: generation_config.json's, else 20",
  },
  max_length: { type: "integer", default: null, nullable: true, min: 1, unit: "tokens", help: "Most tokens, prompt included" },
  eos_token_id: {
    type: "integer",
    list: true,
    default: null,
    nullable: true,
    min: 0,
    help: "Ids that end the text; none to end at the length only",
  },
  seed: { type: "integer", default: 42, min: 0, help: "Seed of the drawing; equal seeds give equal texts" },
});

const SAMPLING_FLAGS = defineOptions("Sampling", SAMPLING_OPTIONS.entries);
/** What only matters when tokens are drawn. */
const DRAWING = ["temperature", "top_k", "top_p", "min_p", "typical_p"];

const WHERE = "preflab generate";
const TABLES = [INPUT_OPTIONS, LENGTH_OPTIONS, SAMPLING_FLAGS];

export const generate: Command = {
  name: "generate",
  usage: "preflab generate --model_name_or_path DIR [--adapter DIR] --prompt TEXT [--chat] [flags]",
  summary:
    "Continues prompts and shows the text while it comes. What is not given is taken from the model's generation_config.json, else it is the default below; giving any of temperature, top_k, top_p, min_p or typical_p turns do_sample on.",
  tables: TABLES,
  async prepare(argv) {
    const { values, positionals, names } = await readCommandLine(WHERE, TABLES, argv);
    refusePositionals(WHERE, positionals);
    const check = { where: WHERE, prefix: "--" };
    const input = INPUT_OPTIONS.resolve(values[0]!, check);
    // Only what is given: the rest is the model's own.
    const { max_new_tokens, max_length, ...length } = LENGTH_OPTIONS.check(values[1]!, check);
    const sampling = SAMPLING_FLAGS.check(values[2]!, check);
    const drawing = DRAWING.filter((name) => names.has(name));
    if (drawing.length > 0 && sampling.do_sample === false) {
      throw new ConfigError("option_conflict", `${WHERE}: --${drawing[0]} needs --do_sample, got --do_sample false`);
    }
    const options = {
      ...length,
      ...(max_new_tokens === null ? {} : { max_new_tokens }),
      ...(max_length === null ? {} : { max_length }),
      ...sampling,
      ...(drawing.length > 0 ? { do_sample: true } : {}),
    };

    return async () => {
      const [{ AutoTokenizer, TextStreamer }, { AutoModelForCausalLM, PeftModel }, { generateTokens }] = await Promise.all([
        import("../text/index.js"),
        import("../model/index.js"),
        import("../generate/index.js"),
        // Importing it lets Hub ids stand where a path can.
        import("../hub/index.js"),
      ]);
      // A download reports its progress on stdout, where only JSON may stand.
      const repository = input.json ? ({ progress: false } as const) : {};
      const tokenizer = await AutoTokenizer.from_pretrained(input.model_name_or_path, repository);
      const base = await AutoModelForCausalLM.from_pretrained(input.model_name_or_path, { ...repository, dtype: input.dtype });
      const model: CausalLM = input.adapter === null ? base : await PeftModel.from_pretrained(base, input.adapter, repository);
      try {
        for (const prompt of input.prompt) {
          const promptIds = encodePrompt(tokenizer, prompt, input.chat);
          const streamer = new TextStreamer(tokenizer, {
            skip_prompt: true,
            ...(input.json ? { callback_function: () => undefined } : {}),
          });
          if (!input.json && input.prompt.length > 1) console.log(`> ${prompt}`);
          const newIds: number[] = [];
          const clock = new TokenClock();
          streamer.put(promptIds);
          for await (const id of generateTokens(model, promptIds, options)) {
            clock.tick();
            newIds.push(id);
            streamer.put([id]);
          }
          streamer.end();
          if (!input.json) {
            process.stdout.write("\n");
          } else {
            const text = tokenizer.decode(newIds, { skip_special_tokens: true });
            console.log(JSON.stringify({ prompt, prompt_ids: promptIds, new_ids: newIds, text, tokens_per_second: clock.rate() }));
          }
        }
        return 0;
      } finally {
        await model.dispose();
        await base.dispose();
      }
    };
  },
};

function encodePrompt(tokenizer: PreTrainedTokenizer, prompt: string, chat: boolean): number[] {
  if (!chat) return tokenizer.encode(prompt);
  return tokenizer.apply_chat_template([{ role: "user", content: prompt }], { add_generation_prompt: true });
}

/** Tokens per second from the second new token on: before it the prompt is read and the programs are compiled.
 *  With fewer than three tokens, over the whole time. */
class TokenClock {
  readonly #started = performance.now();
  readonly #ticks: number[] = [];

  tick(): void {
    this.#ticks.push(performance.now());
  }

  rate(): number {
    const count = this.#ticks.length;
    if (count === 0) return 0;
    const [tokens, since] = count < 3 ? [count, this.#started] : [count - 2, this.#ticks[1]!];
    return Number(((tokens * 1000) / (this.#ticks.at(-1)! - since)).toPrecision(4));
  }
}
