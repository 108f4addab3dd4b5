import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, vi } from "vitest";
import { TestHub } from "./testHub.js";

const VARIABLES = [
  "HF_TOKEN",
  "HUGGING_FACE_HUB_TOKEN",
  "HF_TOKEN_PATH",
  "HF_HUB_CACHE",
  "HUGGINGFACE_HUB_CACHE",
  "XDG_CACHE_HOME",
  "HF_HUB_OFFLINE",
  "TRANSFORMERS_OFFLINE",
  "HF_HUB_DOWNLOAD_TIMEOUT",
];

export interface HubScene {
  hub: TestHub;
  /** A fresh folder; HF_HOME is `home/hf` in it. */
  root: string;
  cache: string;
}

/** A fresh hub and an empty HF_HOME for each test; the process's variables point at them. */
export function useHub(): HubScene {
  const scene = {} as HubScene;
  beforeEach(async () => {
    scene.root = mkdtempSync(join(tmpdir(), "preflab-hub-"));
    scene.hub = await TestHub.start(join(scene.root, "server"));
    scene.cache = join(scene.root, "hf", "hub");
    for (const name of VARIABLES) vi.stubEnv(name, undefined);
    vi.stubEnv("HF_ENDPOINT", scene.hub.url);
    vi.stubEnv("HF_HOME", join(scene.root, "hf"));
  });
  afterEach(async () => {
    vi.unstubAllEnvs();
    vi.restoreAllMocks();
    await scene.hub.stop();
    rmSync(scene.root, { recursive: true, force: true });
  });
  return scene;
}

/** The error that a promise must end in. */
export async function failure(promise: Promise<unknown>): Promise<Error & { code: string }> {
  const result = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (!(result instanceof Error)) throw new Error("it should have failed");
  return result as Error & { code: string };
}
