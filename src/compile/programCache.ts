/**
 * Built programs on disk. The key is a hash of everything that a program depends on: what its maker says of the function, its
 * signature, the sources of this package, and the versions of the libraries that take part.
 */
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { cacheFolder } from "../config/index.js";
import type { BuiltProgram } from "./buildProgram.js";
import type { Signature } from "./engine.js";
import { tf } from "./tensorflow.js";

/** What a file holds before the bytes of the model. */
interface Header {
  readonly inputs: readonly string[];
  readonly outputs: readonly (readonly [string, BuiltProgram["outputs"] extends ReadonlyMap<string, infer Output> ? Output : never])[];
  readonly replacing: readonly string[];
  readonly fixed: BuiltProgram["fixed"];
  /** SHA-256 of the model. */
  readonly hash: string;
}

/** Bytes of the header's length, little-endian, with which a file begins. */
const LENGTH_BYTES = 4;

let warned = false;

/**
 * The program of this key, or what `build` makes, which is then kept.
 * @param key JSON value that names the function: equal keys and signatures mean equal functions
 */
export function cachedProgram(
  key: unknown,
  signature: Signature,
  inPlace: boolean,
  build: () => BuiltProgram | undefined,
): BuiltProgram | undefined {
  const hash = createHash("sha256");
  // Where a state lies is the run's business: a second adapter on a model has the program of the first.
  const inputs = Object.entries(signature).map(([name, { store, ...spec }]) => [name, spec.fixed ? { ...spec, store } : spec]);
  hash.update(JSON.stringify([key, inputs, inPlace, tf.version_core, sourcesHash()]));
  const folder = cacheFolder("programs");
  const path = join(folder, `${hash.digest("hex")}.onnx.cache`);
  const kept = read(path);
  if (kept !== undefined) return kept;
  const built = build();
  if (built === undefined) return undefined;
  try {
    mkdirSync(folder, { recursive: true });
    write(path, built);
  } catch (error) {
    if (!warned)
      console.warn(
        `compile: programs are not kept for later runs: ${(error as Error).message}; set PREFLAB_CACHE to a folder that can be written to`,
      );
    warned = true;
  }
  return built;
}

/** undefined for a file that is absent or damaged. */
function read(path: string): BuiltProgram | undefined {
  try {
    const file = readFileSync(path);
    const end = LENGTH_BYTES + file.readUInt32LE(0);
    const { inputs, outputs, replacing, fixed, hash } = JSON.parse(file.toString("utf8", LENGTH_BYTES, end)) as Header;
    // A buffer of its own: it is sent to the worker.
    const model = new Uint8Array(file.subarray(end));
    if (hashOf(model) !== hash) return undefined;
    return { model, inputs: new Set(inputs), outputs: new Map(outputs), replacing: new Set(replacing), fixed };
  } catch {
    return undefined;
  }
}

function write(path: string, { model, inputs, outputs, replacing, fixed }: BuiltProgram): void {
  const header: Header = { inputs: [...inputs], outputs: [...outputs], replacing: [...replacing], fixed, hash: hashOf(model) };
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt32LE(text.length);
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    writeFileSync(temporary, Buffer.concat([length, text, model]));
    renameSync(temporary, path);
  } finally {
    rmSync(temporary, { force: true });
  }
}

function hashOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

let sources: string | undefined;

/** A hash of this package's own code: a function may use any of it. */
function sourcesHash(): string {
  if (sources !== undefined) return sources;
  const root = dirname(dirname(fileURLToPath(import.meta.url)));
  const hash = createHash("sha256");
  const files = readdirSync(root, { recursive: true, encoding: "utf8" }).filter((file) => /\.[jt]s$/.test(file) && !file.endsWith(".d.ts"));
  for (const file of files.sort()) hash.update(file).update(readFileSync(join(root, file)));
  return (sources = hash.digest("hex"));
}
