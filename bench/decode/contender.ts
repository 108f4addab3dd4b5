/** A program that generates, in a process of its own. It prints one JSON line when it is ready and one for every request. */
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";

/** What each contender is asked: read prompts, and continue them greedily all together. */
export interface DecodeRequest {
  readonly prompts: readonly (readonly number[])[];
  readonly newTokens: number;
}

/** Times in milliseconds. */
export interface DecodeTimes {
  /** Until each prompt's first new token. */
  readonly prefill: number;
  /** From there to the last one, of `newTokens − 1` tokens a prompt. */
  readonly decode: number;
}

export class Contender {
  readonly #process: ChildProcess;
  readonly #lines: AsyncIterator<string, undefined>;

  private constructor(
    readonly name: string,
    process: ChildProcess,
  ) {
    this.#process = process;
    this.#lines = createInterface({ input: process.stdout! })[Symbol.asyncIterator]();
  }

  /** @returns the contender, or why it does not run */
  static async start(name: string, command: string, args: readonly string[]): Promise<Contender | string> {
    const child = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"] });
    const failed = new Promise<string>((resolve) => child.on("error", (error) => resolve(error.message)));
    const contender = new Contender(name, child);
    const ready = await Promise.race([failed, contender.#read().catch((error: Error) => error.message)]);
    return typeof ready === "string" ? ready : contender;
  }

  async ask(request: DecodeRequest): Promise<DecodeTimes> {
    this.#process.stdin!.write(`${JSON.stringify(request)}\n`);
    return (await this.#read()) as DecodeTimes;
  }

  async #read(): Promise<unknown> {
    for (;;) {
      const line = await this.#lines.next();
      if (line.done === true) throw new Error(`${this.name}: it ended, see above`);
      if (line.value.startsWith("{")) return JSON.parse(line.value) as unknown;
    }
  }

  stop(): void {
    this.#process.stdin!.end();
  }
}

/** The other side, for contenders in Node. */
export async function serve(answer: (request: DecodeRequest) => Promise<DecodeTimes>): Promise<void> {
  console.log(JSON.stringify({ ready: true }));
  for await (const line of createInterface({ input: process.stdin }))
    console.log(JSON.stringify(await answer(JSON.parse(line) as DecodeRequest)));
}
