/** What a probe is, and what it may use: the same for every kernel. */
import type { KernelClient, RequestOptions } from "../../src/notebook/client.js";
import { type CellRun, runCell } from "./session.js";

/** How a kernel is started, and the few things that have no common name. */
export interface KernelUnderTest {
  name: string;
  version: string;
  /** argv with `{connection_file}`. */
  command: readonly string[];
  /** A cell that asks for one line and shows it as its value; undefined: the kernel documents no way. */
  readLine?: string;
  /** A cell that registers the comm target `conformance.echo`, which answers `{ got: data }`; undefined: the kernel documents no way. */
  echoComm?: string;
  /** A cell that shows "first" and then replaces it by "second". */
  updateDisplay?: string;
}

export class ProbeContext {
  readonly kernel: KernelUnderTest;
  readonly client: KernelClient;
  /** The notebook's folder. */
  readonly cwd: string;

  constructor(kernel: KernelUnderTest, client: KernelClient, cwd: string) {
    this.kernel = kernel;
    this.client = client;
    this.cwd = cwd;
  }

  run(code: string, content: Record<string, unknown> = {}, options: RequestOptions = {}): Promise<CellRun> {
    return runCell(this.client, code, content, { timeoutMs: 25_000, ...options });
  }

  /** One shell request and its reply's content. */
  async ask(msg_type: string, content: Record<string, unknown> = {}, timeoutMs = 25_000): Promise<Record<string, unknown>> {
    return (await this.client.request("shell", msg_type, content, { timeoutMs })).content;
  }
}

export interface Probe {
  /** Group of the table. */
  group: string;
  /** What a kernel must do, as a sentence. */
  name: string;
  /** Resolves when it does; throws with what it did instead. */
  check(context: ProbeContext): Promise<void>;
}

/** @throws Error saying what was found */
export function require(condition: boolean, found: string): void {
  if (!condition) throw new Error(found);
}

export function equal(found: unknown, expected: unknown, what: string): void {
  const text = (value: unknown): string => JSON.stringify(value) ?? "undefined";
  if (text(found) !== text(expected)) throw new Error(`${what}: ${text(found).slice(0, 200)} instead of ${text(expected).slice(0, 200)}`);
}
