/** A measurement in a process of its own: it prints JSON events, one a line, and may be stopped when it takes too much memory. */
import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { freemem } from "node:os";
import { createInterface } from "node:readline";
import { PreflabError } from "../../src/errors.js";

export interface ChildOptions {
  /** Beside those of this process. */
  readonly env?: Readonly<Record<string, string>>;
  /** The most resident memory, in bytes; the child is killed above it. Watched on Linux only. */
  readonly memoryLimit?: number;
  readonly onEvent?: (event: Record<string, unknown>) => void;
}

export interface ChildResult {
  readonly events: readonly Record<string, unknown>[];
  /** Why it was stopped before its end. */
  readonly killed?: string;
}

/** Left for the rest of the machine; below it the system would end processes of its own choice. */
const RESERVE = 0.7e9;
const WATCH_MS = 100;

/** Runs a command to its end. @throws PreflabError `child_failed` with its last messages, unless the memory guard (or the system's) stopped it */
export async function runChild(command: string, args: readonly string[], options: ChildOptions = {}): Promise<ChildResult> {
  const { env, memoryLimit, onEvent } = options;
  const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
  let [killed, messages] = [undefined as string | undefined, ""];
  const stop = (why: string): void => {
    killed ??= why;
    child.kill("SIGKILL");
  };
  if (memoryLimit !== undefined && child.pid !== undefined) preferAsVictim(child.pid);
  const watch = setInterval(() => {
    if (memoryLimit === undefined || child.pid === undefined) return;
    const resident = residentBytes(child.pid);
    if (resident === undefined) return;
    if (resident > memoryLimit) stop(`it took more than ${gigabytes(memoryLimit)}`);
    else if (availableBytes() < RESERVE) stop(`it took ${gigabytes(resident)}, and the machine had no more`);
  }, WATCH_MS);
  child.stderr.setEncoding("utf8").on("data", (text: string) => (messages = (messages + text).slice(-4000)));
  const ended = new Promise<[number | null, string | null]>((resolve, reject) =>
    child.on("close", (code, signal) => resolve([code, signal])).on("error", reject),
  );
  const events: Record<string, unknown>[] = [];
  try {
    for await (const line of createInterface({ input: child.stdout })) {
      // Libraries print what they like; events are objects.
      if (!line.startsWith("{")) continue;
      const event = JSON.parse(line) as Record<string, unknown>;
      events.push(event);
      onEvent?.(event);
    }
    const [code, signal] = await ended;
    if (killed !== undefined) return { events, killed };
    if (signal === "SIGKILL" && memoryLimit !== undefined) return { events, killed: "the system stopped it, for memory as a rule" };
    if (code === 0) return { events };
    const how = signal === null ? `exit code ${String(code)}` : `signal ${signal}`;
    throw new PreflabError("child_failed", `bench: ${command} must end well, got ${how}; its last messages are\n${messages}`);
  } finally {
    clearInterval(watch);
    if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
  }
}

/** If memory runs out between two looks, the system shall take this process and not another. */
function preferAsVictim(pid: number): void {
  try {
    writeFileSync(`/proc/${pid}/oom_score_adj`, "1000");
  } catch {
    // No such thing on this system.
  }
}

function residentBytes(pid: number): number | undefined {
  return kibibytes(`/proc/${pid}/status`, /^VmRSS:\s+(\d+) kB/m);
}

function availableBytes(): number {
  return kibibytes("/proc/meminfo", /^MemAvailable:\s+(\d+) kB/m) ?? freemem();
}

function kibibytes(file: string, pattern: RegExp): number | undefined {
  try {
    const found = pattern.exec(readFileSync(file, "utf8"));
    return found === null ? undefined : Number(found[1]) * 1024;
  } catch {
    return undefined;
  }
}

/** For people. */
export function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(2)} GB`;
}
