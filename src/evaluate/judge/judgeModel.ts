/** What a judge is: it reads a conversation and writes a short answer. An endpoint, a local model, or a function of your own. */
import type { Message } from "../../data/messages.js";
import "../../generate/index.js";
import type { CausalLM } from "../../model/index.js";
import type { PreTrainedTokenizer } from "../../text/index.js";
import { CompletionScorer } from "../completionScores.js";
import { promptIds } from "../prompt.js";
import { VERDICTS } from "./verdict.js";

export interface JudgeModel {
  /** For reports: the model's name, and where it runs. Holds no secret. */
  readonly name: string;
  /** Conversations that it answers at once, >= 1. */
  readonly concurrency: number;
  /** The answer to a conversation that ends with the user. @throws JudgeError when there is none */
  answer(messages: readonly Message[], signal?: AbortSignal): Promise<string>;
  /** Frees what it holds; the model that it was given stays, and so the judge can be asked again. `judge` calls it at its end. */
  dispose?(): Promise<void>;
}

export interface LocalJudgeOptions {
  readonly model: CausalLM;
  readonly tokenizer: PreTrainedTokenizer;
  /** `generation`: the greedy answer, which may be no verdict. `likelihood`: the likeliest of the three verdicts. Default generation. */
  readonly method?: "generation" | "likelihood";
  /** Of a generated answer; default 8, the longest verdict with room to be wrong. */
  readonly max_new_tokens?: number;
}

/** A model in this process as the judge. Small models judge badly, and often by position: look at the report before the win rate. */
export function localJudge({ model, tokenizer, method = "generation", max_new_tokens = 8 }: LocalJudgeOptions): JudgeModel {
  let scorer: Promise<CompletionScorer> | undefined;
  const generate = async (messages: readonly Message[]): Promise<string> => {
    const ids = promptIds(messages, tokenizer);
    const all = await model.generate(ids, { max_new_tokens, do_sample: false, repetition_penalty: 1 });
    return tokenizer.decode(all.slice(ids.length), { skip_special_tokens: true });
  };
  const choose = async (messages: readonly Message[]): Promise<string> => {
    scorer ??= CompletionScorer.create({ model, tokenizer, where: "localJudge" });
    // Per token: the verdicts differ in length, and the sum would favour the shortest.
    const scores = (await (await scorer).score(messages, VERDICTS, "a prompt of the judge")).map(({ logp, tokens }) => logp / tokens);
    return VERDICTS[scores.indexOf(Math.max(...scores))]!;
  };
  return {
    name: `${model.name_or_path} (local, by ${method})`,
    concurrency: 1,
    answer: method === "likelihood" ? choose : generate,
    dispose: async () => {
      const used = scorer;
      scorer = undefined;
      await (await used)?.dispose();
    },
  };
}
