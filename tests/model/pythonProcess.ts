/** A Python that has imported torch, transformers and peft once, and runs each script in a fork of itself: the imports take ten seconds. */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { createInterface } from "node:readline";

const SERVER = `
import hashlib, json, os, sys, tempfile, traceback
import torch, safetensors
from transformers import AutoModelForCausalLM, Qwen2Config, Qwen2ForCausalLM
from peft import PeftModel
def digest(named):
    return {name: hashlib.sha256(value.detach().float().contiguous().numpy().tobytes()).hexdigest() for name, value in named}
for line in sys.stdin:
    job = json.loads(line)
    with tempfile.TemporaryFile() as out:
        child = os.fork()
        if child == 0:
            os.dup2(out.fileno(), 1)
            os.dup2(out.fileno(), 2)
            code = 0
            try:
                sys.argv = ["-c", *job["argv"]]
                exec(job["script"], {"__name__": "__main__", "sys": sys, "json": json, "hashlib": hashlib, "torch": torch, "digest": digest})
            except BaseException:
                traceback.print_exc()
                code = 1
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        _, status = os.waitpid(child, 0)
        out.seek(0)
        print(json.dumps({"status": status, "text": out.read().decode("utf-8", "replace")}), flush=True)
`;

export class PythonProcess {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #answers: AsyncIterator<string>;
  #errors = "";

  constructor(python: string) {
    const env = { ...process.env, HF_HUB_OFFLINE: "1", OMP_NUM_THREADS: "1", TRANSFORMERS_VERBOSITY: "error" };
    this.#child = spawn(python, ["-c", SERVER], { env });
    this.#child.stderr.setEncoding("utf8").on("data", (text: string) => (this.#errors += text));
    this.#answers = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  /** Runs a script, one at a time; it knows sys, json, hashlib, torch and `digest`. @returns its last line of output, which is JSON */
  async run(script: string, ...argv: string[]): Promise<unknown> {
    this.#child.stdin.write(`${JSON.stringify({ script, argv })}\n`);
    const { value, done } = (await this.#answers.next()) as IteratorResult<string, unknown>;
    if (done === true) throw new Error(`python ended: ${this.#errors}`);
    const { status, text } = JSON.parse(value) as { status: number; text: string };
    if (status !== 0) throw new Error(`python: ${text}`);
    return JSON.parse(text.trim().split("\n").at(-1)!) as unknown;
  }

  end(): void {
    this.#child.stdin.end();
  }
}
