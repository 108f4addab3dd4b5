/** The likelihood of several completions of one prompt, the prompt read once. */
import type { CausalLM } from "../model/index.js";
import type { PreTrainedTokenizer } from "../text/index.js";
import type { SequenceLayout } from "../train/sequence/sequenceInputs.js";
import { requireVocabulary } from "../train/sequence/vocabulary.js";
import { ConfigError } from "../errors.js";
import { type Prompt, completionIdsOf, promptIds } from "./prompt.js";
import { TokenScorer } from "./tokenLogps.js";

export interface CompletionScore {
  /** Summed over the completion's tokens, nats. */
  readonly logp: number;
  readonly tokens: number;
}

export interface CompletionScorerOptions {
  readonly model: CausalLM;
  readonly tokenizer: PreTrainedTokenizer;
  /** Names the asker in errors. */
  readonly where: string;
}

export class CompletionScorer {
  readonly #options: CompletionScorerOptions;
  readonly #scorer: TokenScorer;

  private constructor(options: CompletionScorerOptions, scorer: TokenScorer) {
    this.#options = options;
    this.#scorer = scorer;
  }

  static async create(options: CompletionScorerOptions): Promise<CompletionScorer> {
    return new CompletionScorer(options, await TokenScorer.create(options.model, options.where));
  }

  /**
   * Log-probs of completions, in their order, in one run of `prompt | completion | completion | …`.
   * @param origin file and row, for errors
   * @throws ConfigError `empty_prompt`, `completion_empty`, `vocabulary`
   */
  async score(prompt: Prompt, completions: readonly string[], origin: string): Promise<CompletionScore[]> {
    const { tokenizer, where, model } = this.#options;
    const ids = promptIds(prompt, tokenizer);
    if (ids.length === 0)
      throw new ConfigError("empty_prompt", `${where}: a prompt must have at least one token, got none at ${origin}; write a prompt`);
    const given = completions.map((completion) => completionIdsOf(prompt, completion, tokenizer, where));
    requireVocabulary([...ids, ...given.flat()], model.config.vocab_size, origin);
    const logps = await this.#scorer.logps({ layout: layoutCompletions(ids, given), origin });
    let begin = 0;
    return given.map(({ length }) => {
      const own = logps.subarray(begin, (begin += length));
      return { logp: own.reduce((sum, logp) => sum + logp, 0), tokens: length };
    });
  }

  dispose(): Promise<void> {
    return this.#scorer.dispose();
  }
}

/** Completions continue the prompt and do not see each other. The last token of each predicts nothing and is left out. */
export function layoutCompletions(prompt: readonly number[], completions: readonly (readonly number[])[]): SequenceLayout {
  const layout = {
    ids: [...prompt],
    positions: prompt.map((_, i) => i),
    segments: prompt.map(() => 0),
    parents: prompt.map(() => -1),
    sources: [] as number[],
    targets: [] as number[],
  };
  completions.forEach((ids, segment) => {
    const first = layout.ids.length;
    ids.forEach((id, i) => {
      layout.sources.push(i === 0 ? prompt.length - 1 : first + i - 1);
      layout.targets.push(id);
      if (i === ids.length - 1) return;
      layout.ids.push(id);
      layout.positions.push(prompt.length + i);
      layout.segments.push(segment + 1);
      layout.parents.push(0);
    });
  });
  return layout;
}
