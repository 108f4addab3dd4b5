/** Runs probes against a kernel. Each failed probe may leave it in any state, so the next one gets a fresh kernel. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { KernelClient } from "../../src/notebook/client.js";
import { type KernelUnderTest, type Probe, ProbeContext } from "./probe.js";
import { CELLS } from "./probes/cells.js";
import { IMPORTS, layOutProject } from "./probes/imports.js";
import { INTERRUPTS } from "./probes/interrupts.js";
import { PROTOCOL } from "./probes/protocol.js";

/** All probes, in the order of the table. */
export const PROBES: readonly Probe[] = [...CELLS, ...PROTOCOL, ...INTERRUPTS, ...IMPORTS];

/** Longest time for one probe. */
const LIMIT_MS = 150_000;

/** Probe → undefined when it passed, else what the kernel did instead. */
export type Findings = Map<Probe, string | undefined>;

/** One kernel, kept from probe to probe as long as it passes them. */
export class KernelBench {
  readonly #kernel: KernelUnderTest;
  #folder: string | undefined;
  #cwd = "";
  #client: KernelClient | undefined;

  constructor(kernel: KernelUnderTest) {
    this.#kernel = kernel;
  }

  /** @throws Error with what the kernel did instead */
  async check(probe: Probe): Promise<void> {
    const client = (this.#client ??= await this.#start());
    let limit: NodeJS.Timeout | undefined;
    const tooLong = new Promise<never>(
      (_, reject) => (limit = setTimeout(() => reject(new Error(`no end within ${LIMIT_MS} ms`)), LIMIT_MS)),
    );
    try {
      await Promise.race([probe.check(new ProbeContext(this.#kernel, client, this.#cwd)), tooLong]);
      if (client.process.exitCode !== null || client.process.signalCode !== null) await this.#stop();
    } catch (error) {
      await this.#stop();
      throw error;
    } finally {
      clearTimeout(limit);
    }
  }

  async #start(): Promise<KernelClient> {
    if (this.#folder === undefined) {
      this.#folder = await mkdtemp(join(tmpdir(), "preflab-conformance-"));
      this.#cwd = await layOutProject(this.#folder);
    }
    return KernelClient.start({ command: this.#kernel.command, cwd: this.#cwd });
  }

  async #stop(): Promise<void> {
    const client = this.#client;
    this.#client = undefined;
    await client?.kill();
  }

  async close(): Promise<void> {
    await this.#client?.shutdown();
    this.#client = undefined;
    if (this.#folder !== undefined) await rm(this.#folder, { recursive: true, force: true });
  }
}

/** @param told called after each probe */
export async function examine(kernel: KernelUnderTest, told: (probe: Probe, found: string | undefined) => void): Promise<Findings> {
  const findings: Findings = new Map();
  const bench = new KernelBench(kernel);
  try {
    for (const probe of PROBES) {
      const found = await bench.check(probe).then(
        () => undefined,
        (error: unknown) => (error instanceof Error ? error.message : String(error)),
      );
      findings.set(probe, found);
      told(probe, found);
    }
  } finally {
    await bench.close();
  }
  return findings;
}
