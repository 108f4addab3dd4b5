/** How a step's time grows with tokens and with the model. */
import { attentionOperations, checkpointedOperations, type Shape } from "../../shared/arithmetic.js";
import { shapeConfig } from "../../shared/models.js";
import { pairTokens, type TokenPair } from "../../shared/pairs.js";
import { type Bench, stepSeconds } from "../bench.js";
import type { TableRow } from "../table.js";

const TOKENS = [128, 512, 1024, 2048, 4096];
/** Where the two shapes are compared. */
const COMPARED = 512;
/** Time is called linear when a token's time, attention aside, differs by no more. */
const LINEAR = 1.2;
const RANK = 16;

/** Half prompt, a quarter each completion. */
function pairOf(bench: Bench, tokens: number, shape: string): TokenPair {
  return bench.pairs(1, { prompt: [tokens / 2, 0], completion: [tokens / 4, 0] }, shape)[0]!;
}

/** Seconds a token, without attention's share of the arithmetic. */
export function linearSecondsPerToken(seconds: number, pair: TokenPair, shape: Shape): number {
  const total = checkpointedOperations(pair, shape);
  return (seconds * (1 - attentionOperations(pair, shape, true) / total)) / pairTokens(pair);
}

export async function measureGrowth(bench: Bench): Promise<TableRow[]> {
  const { shape, large_shape } = bench.options;
  const measure = async (tokens: number, of: string) => {
    const pair = pairOf(bench, tokens, of);
    const work = { rows: [pair], pairs: 1, lora_r: RANK, options: { gradient_checkpointing: true } };
    const { result, sgemm } = await bench.preflab(`growth, ${of}, ${tokens} tokens`, work, of);
    return { tokens, seconds: stepSeconds(result), sgemm, perToken: linearSecondsPerToken(stepSeconds(result), pair, shapeConfig(of)) };
  };
  const runs = [];
  for (const tokens of TOKENS) runs.push(await measure(tokens, shape));
  // At equal speed of the machine, relative to the shortest.
  const cost = runs.map(({ perToken, sgemm }) => perToken * sgemm);
  const spread = Math.max(...cost) / Math.min(...cost);
  const small = runs.find(({ tokens }) => tokens === COMPARED)!;
  const large = await measure(COMPARED, large_shape);
  // Tokens a second, each at the machine's speed beside it.
  const ratio = (small.seconds * small.sgemm) / (large.seconds * large.sgemm);
  const list = runs.map(({ tokens, seconds, perToken }) => `${tokens}: ${(perToken * 1000).toFixed(2)} (${seconds.toFixed(1)} s)`);
  return [
    {
      target: `growth: ms a token, attention aside, with gradient checkpointing, ${TOKENS[0]} to ${TOKENS.at(-1)} tokens`,
      goal: `linear: largest / smallest ≤ ${LINEAR} at equal sgemm`,
      measured: `**${spread.toFixed(2)}**; ${list.join(", ")}`,
      other: "–",
      reached: spread <= LINEAR,
    },
    {
      target: `tokens/s at ${large_shape} / tokens/s at ${shape}, ${COMPARED} tokens`,
      goal: "≥ 0.3 ×",
      measured: `**${ratio.toFixed(3)} ×** (${(COMPARED / large.seconds).toFixed(1)} and ${(COMPARED / small.seconds).toFixed(1)} tokens/s)`,
      other: "–",
      reached: ratio >= 0.3,
    },
  ];
}
