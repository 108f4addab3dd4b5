/** Log-probs of the completions of pairs, on the layout that training scores: `prompt | chosen | rejected`. */
import type { CausalLM } from "../../model/index.js";
import type { PreparedPair } from "../../train/dpo/pairBatch.js";
import { TokenScorer } from "../tokenLogps.js";

/** A number for each completion of a pair. */
export interface PairValues {
  readonly chosen: number;
  readonly rejected: number;
}

/** Sums over the scored tokens of each completion, in nats. @param onPair called after each with how many are done
 *  @throws ConfigError `inference_only`; EngineError `logps_not_finite` */
export async function pairLogps(
  model: CausalLM,
  pairs: readonly PreparedPair[],
  where: string,
  onPair: (done: number) => void = () => undefined,
): Promise<PairValues[]> {
  const scorer = await TokenScorer.create(model, where);
  try {
    const scored: PairValues[] = [];
    for (const pair of pairs) {
      const { layout, origin } = pair;
      const logps = await scorer.logps({ layout, origin });
      const sums = [0, 0];
      layout.rejected.forEach((side, i) => void (sums[side]! += logps[i]!));
      scored.push({ chosen: sums[0]!, rejected: sums[1]! });
      onPair(scored.length);
    }
    return scored;
  } finally {
    await scorer.dispose();
  }
}
