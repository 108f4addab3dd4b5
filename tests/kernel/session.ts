/** A notebook session for tests: the real kernel process, the real protocol over ZeroMQ. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { type CellRun, runCell } from "../../scripts/conformance/session.js";
import { KernelClient, type RequestOptions } from "../../src/notebook/client.js";
import { defaultKernelCommand } from "../../src/notebook/runner.js";

export { errorOf, pause, plain, result, streamText, types, until, type CellRun } from "../../scripts/conformance/session.js";

export const REPOSITORY = resolve(import.meta.dirname, "../..");

export class Session {
  private constructor(
    readonly client: KernelClient,
    readonly cwd: string,
    readonly temporary: boolean,
  ) {}

  /** @param cwd default: a new empty folder outside this repository */
  static async open(cwd?: string, env: Record<string, string> = {}): Promise<Session> {
    const folder = cwd ?? (await mkdtemp(join(tmpdir(), "preflab-session-")));
    return new Session(await KernelClient.start({ command: defaultKernelCommand(), cwd: folder, env }), folder, cwd === undefined);
  }

  async close(): Promise<void> {
    await this.client.shutdown();
    if (this.temporary) await rm(this.cwd, { recursive: true, force: true });
  }

  run(code: string, content: Record<string, unknown> = {}, options: RequestOptions = {}): Promise<CellRun> {
    return runCell(this.client, code, content, options);
  }
}
