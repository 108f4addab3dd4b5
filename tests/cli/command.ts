/** Runs the built command, as a user's shell does. */
import { type ChildProcess, spawn } from "node:child_process";
import { resolve } from "node:path";

const CLI = resolve(import.meta.dirname, "../../dist/src/cli.js");

export interface Finished {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

export interface RunOptions {
  env?: Record<string, string>;
  cwd?: string;
  /** Called at each output with all of stdout so far. */
  onOutput?: (stdout: string, child: ChildProcess) => void;
}

export function preflab(argv: readonly string[], { env = {}, cwd, onOutput }: RunOptions = {}): Promise<Finished> {
  return new Promise((done, failed) => {
    const child = spawn(process.execPath, [CLI, ...argv], { cwd, env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
    const finished = { stdout: "", stderr: "" };
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      finished.stdout += text;
      onOutput?.(finished.stdout, child);
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => (finished.stderr += text));
    child.on("error", failed);
    child.on("close", (code, signal) => done({ code, signal, ...finished }));
  });
}
