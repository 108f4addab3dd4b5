/**
 * Reference log-probs on disk, for runs that use the same model, adapter and token ids. The key is a hash of the contents,
 * so a changed file or template can never meet an old entry.
 */
import { createHash, type Hash } from "node:crypto";
import { createReadStream, existsSync } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import type { CausalLM } from "../../model/index.js";
import { writeFileAtomic } from "../../text/atomicFile.js";
import type { PreparedPair, ReferenceLogps } from "./pairBatch.js";

/** `$PREFLAB_CACHE/reference`, by default `~/.cache/preflab/reference`. */
export function referenceCacheFolder(): string {
  return join(process.env["PREFLAB_CACHE"] ?? join(homedir(), ".cache", "preflab"), "reference");
}

/**
 * The cached values, or what `compute` returns, which is then cached.
 * @param model must have the numbers of its files: a model that was trained since has no key
 */
export async function cachedReference(
  model: CausalLM,
  pairs: readonly PreparedPair[],
  compute: () => Promise<ReferenceLogps[]>,
): Promise<ReferenceLogps[]> {
  const files = model.files();
  if (files === undefined) return compute();
  const hash = createHash("sha256");
  // The same weights mean another function under another rope_theta or lora_alpha.
  const { raw: _raw, ...config } = model.config;
  hash.update(JSON.stringify([config, model.peft_config?.scaling ?? null]));
  // The same files mean other numbers once they are quantised.
  if (model.base.quantization_config !== undefined) hash.update(JSON.stringify(model.base.quantization_config.to_dict()));
  for (const file of files) await hashFile(hash, file);
  for (const { layout } of pairs) hash.update(JSON.stringify([layout.ids, layout.positions, layout.segments, layout.targets]));
  const folder = referenceCacheFolder();
  const path = join(folder, `${hash.digest("hex")}.json`);
  const cached = existsSync(path) ? parseEntry(await readFile(path, "utf8"), pairs.length) : undefined;
  if (cached !== undefined) return cached;
  const references = await compute();
  try {
    await mkdir(folder, { recursive: true });
    await writeFileAtomic(path, JSON.stringify(references));
  } catch (error) {
    console.warn(
      `DPOTrainer: the reference log-probs are not cached: ${(error as Error).message}; set PREFLAB_CACHE to a folder that can be written to`,
    );
  }
  return references;
}

/** A damaged entry counts as absent. */
function parseEntry(text: string, pairs: number): ReferenceLogps[] | undefined {
  try {
    const entry = JSON.parse(text) as ReferenceLogps[];
    return entry.length === pairs && entry.every(({ chosen, rejected }) => Number.isFinite(chosen) && Number.isFinite(rejected))
      ? entry
      : undefined;
  } catch {
    return undefined;
  }
}

async function hashFile(hash: Hash, file: string): Promise<void> {
  await pipeline(createReadStream(file, { highWaterMark: 1 << 20 }), async (chunks: AsyncIterable<Buffer>) => {
    for await (const chunk of chunks) hash.update(chunk);
  });
}
