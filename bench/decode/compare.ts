/** Tokens a second, read and made, beside transformers (float32) and llama.cpp (Q8_0, Q4_0) on the same random weights. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Random } from "../../src/random.js";
import { median } from "../../scripts/compare/report.js";
import { findPython } from "../../scripts/compare/pythonStack.js";
import { packageRoot } from "../../scripts/corpus/pairs.js";
import { writeGguf } from "../gguf.js";
import { Contender, type DecodeRequest, type DecodeTimes } from "./contender.js";

export const DTYPES = ["fp32", "q8", "q4"] as const;
export type Dtype = (typeof DTYPES)[number];

export interface DecodeSetting {
  /** A checkpoint's folder; llama.cpp's files are made beside it. */
  readonly checkpoint: string;
  /** Prompts are drawn from its first so many tokens. */
  readonly vocabulary: number;
  readonly rounds: number;
  readonly promptTokens: number;
  readonly newTokens: number;
  /** Sequences at a time, one measurement each. */
  readonly batches: readonly number[];
  readonly threads: number;
  /** Folder with node-llama-cpp in its node_modules. */
  readonly llama: string;
  /** false: no other tool, also where one is found. */
  readonly rivals: boolean;
}

/** Medians, in tokens a second. */
export interface DecodeRates {
  readonly name: string;
  readonly prefill: number;
  readonly decode: number;
}

export interface DecodeComparison {
  readonly dtype: Dtype;
  readonly batch: number;
  readonly own: DecodeRates;
  /** undefined where no other tool ran. */
  readonly other: DecodeRates | undefined;
  /** Medians of the rounds' ratios. */
  readonly ratio: { readonly prefill: number; readonly decode: number } | undefined;
}

const beside = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

/** The contender that Preflab is measured against, or why there is none. */
async function rival(dtype: Dtype, { checkpoint, threads, llama, rivals }: DecodeSetting): Promise<Contender | string> {
  if (!rivals) return "not asked for";
  if (dtype === "fp32") {
    let python: string;
    try {
      python = findPython();
    } catch (error) {
      return (error as Error).message;
    }
    const script = join(packageRoot(), "bench", "decode", "transformers_run.py");
    return Contender.start("transformers fp32", python, [script, checkpoint, String(threads)]);
  }
  if (!existsSync(join(llama, "node_modules", "node-llama-cpp")))
    return `no node-llama-cpp in ${llama}; npm install --no-save node-llama-cpp@3.22.1, or name a folder with --llama or PREFLAB_LLAMA`;
  const type = dtype === "q8" ? "Q8_0" : "Q4_0";
  const file = `${checkpoint}-${type}.gguf`;
  if (!existsSync(file)) await writeGguf(checkpoint, file, type);
  return Contender.start(`llama.cpp ${type}`, process.execPath, [beside("llama.js"), llama, file, String(threads)]);
}

/**
 * The two are loaded at once and take turns; every prompt is new, so that no cache helps.
 * @param log gets a line for each contender and batch
 * @returns one comparison a batch
 */
export async function compareDecode(dtype: Dtype, setting: DecodeSetting, log: (line: string) => void): Promise<DecodeComparison[]> {
  const { checkpoint, rounds, promptTokens, newTokens, batches, threads } = setting;
  const own = await Contender.start(`preflab ${dtype}`, process.execPath, [beside("preflab.js"), checkpoint, dtype, String(threads)]);
  if (typeof own === "string") throw new Error(own);
  const other = await rival(dtype, setting);
  const contenders = typeof other === "string" ? [own] : [own, other];
  if (typeof other === "string") log(`${dtype}: alone (${other.split("\n")[0]})`);
  let prompts = 0;
  const request = (batch: number): DecodeRequest => {
    const random = new Random(prompts++);
    return {
      newTokens,
      prompts: Array.from({ length: batch }, () => Array.from({ length: promptTokens }, () => random.integer(setting.vocabulary))),
    };
  };
  const found: DecodeComparison[] = [];
  for (const batch of batches) {
    const times = contenders.map((): DecodeTimes[] => []);
    for (let round = 0; round <= rounds; round++) {
      const asked = round === 0 ? { ...request(batch), newTokens: 8 } : request(batch);
      for (const [i, contender] of contenders.entries()) {
        const took = await contender.ask(asked);
        // The first round opens sessions and fills caches.
        if (round > 0) times[i]!.push(took);
      }
    }
    const rates = contenders.map(({ name }, i) => ({
      name,
      prefill: times[i]!.map((took) => (batch * promptTokens * 1e3) / took.prefill),
      decode: times[i]!.map((took) => (batch * (newTokens - 1) * 1e3) / took.decode),
    }));
    const ratio = (kind: "prefill" | "decode"): number => median(rates[0]![kind].map((rate, i) => rate / rates[1]![kind][i]!));
    const [ownRates, otherRates] = rates.map(({ name, prefill, decode }) => ({ name, prefill: median(prefill), decode: median(decode) }));
    const comparison: DecodeComparison = {
      dtype,
      batch,
      own: ownRates!,
      other: otherRates,
      ratio: otherRates === undefined ? undefined : { prefill: ratio("prefill"), decode: ratio("decode") },
    };
    for (const line of formatComparison(comparison)) log(line);
    found.push(comparison);
  }
  for (const contender of contenders) contender.stop();
  return found;
}

function formatComparison({ batch, own, other, ratio }: DecodeComparison): string[] {
  const lines = [own, ...(other === undefined ? [] : [other])].map(
    ({ name, prefill, decode }) =>
      `${name.padEnd(18)} batch ${batch}: prefill ${prefill.toFixed(0).padStart(6)} tokens/s, decode ${decode.toFixed(1).padStart(6)} tokens/s`,
  );
  if (ratio !== undefined) lines.push(`${"".padEnd(18)} ratio:   prefill ${ratio.prefill.toFixed(2)}, decode ${ratio.decode.toFixed(2)}`);
  return lines;
}
