/**
 * Reference log-probs on disk, for runs that use the same model, adapter and token ids. The key is a hash of the contents,
 * so a changed file or template can never meet an old entry.
 */
import { createHash, type Hash } from "node:crypto";
import { createReadStream, existsSync } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { cacheFolder } from "../../config/index.js";
import type { CausalLM } from "../../model/index.js";
import { writeFileAtomic } from "../../text/atomicFile.js";

/** What the numbers belong to. */
export interface LogpKey {
  /** Must have the numbers of its files: a model that was trained since has no key, and nothing is cached. */
  readonly model: CausalLM;
  /** What kind of numbers they are, e.g. "kto". */
  readonly kind: string;
  /** Everything about one row that its numbers depend on, as JSON values. */
  readonly rows: Iterable<unknown>;
}

/**
 * The cached values, or what `compute` returns, which is then cached: one list of `width` numbers a row.
 * @param where first part of the warning when the cache cannot be written
 */
export async function cachedLogps(
  { model, kind, rows }: LogpKey,
  width: number,
  compute: () => Promise<number[][]>,
  where: string,
): Promise<number[][]> {
  const files = model.files();
  if (files === undefined) return compute();
  const hash = createHash("sha256");
  // The same weights mean another function under another rope_theta or lora_alpha.
  const { raw: _raw, ...config } = model.config;
  hash.update(JSON.stringify([kind, config, model.peft_config?.scaling ?? null]));
  // The same files mean other numbers once they are quantised.
  if (model.base.quantization_config !== undefined) hash.update(JSON.stringify(model.base.quantization_config.to_dict()));
  for (const file of files) await hashFile(hash, file);
  let count = 0;
  for (const row of rows) {
    hash.update(JSON.stringify(row));
    count++;
  }
  const folder = cacheFolder("reference");
  const path = join(folder, `${hash.digest("hex")}.json`);
  const cached = existsSync(path) ? parseEntry(await readFile(path, "utf8"), count, width) : undefined;
  if (cached !== undefined) return cached;
  const logps = await compute();
  try {
    await mkdir(folder, { recursive: true });
    await writeFileAtomic(path, JSON.stringify(logps));
  } catch (error) {
    console.warn(
      `${where}: the reference log-probs are not cached: ${(error as Error).message}; set PREFLAB_CACHE to a folder that can be written to`,
    );
  }
  return logps;
}

/** A damaged entry counts as absent. */
function parseEntry(text: string, rows: number, width: number): number[][] | undefined {
  try {
    const entry = JSON.parse(text) as number[][];
    const whole = entry.length === rows && entry.every((row) => row.length === width && row.every(Number.isFinite));
    return whole ? entry : undefined;
  } catch {
    return undefined;
  }
}

async function hashFile(hash: Hash, file: string): Promise<void> {
  await pipeline(createReadStream(file, { highWaterMark: 1 << 20 }), async (chunks: AsyncIterable<Buffer>) => {
    for await (const chunk of chunks) hash.update(chunk);
  });
}
