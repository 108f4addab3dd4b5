/** The processes below one, and what they hold: a limit must count and end all that a cell has started. */
import { execFile } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { promisify } from "node:util";

interface ProcessRow {
  pid: number;
  parent: number;
  /** Bytes of memory that no file backs; where the system does not tell, all resident bytes. */
  bytes: number;
}

async function readLinux(): Promise<ProcessRow[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const rows = await Promise.all(
    pids.map(async (name): Promise<ProcessRow | undefined> => {
      // A process may end between the listing and this.
      const status = await readFile(`/proc/${name}/status`, "utf8").catch(() => undefined);
      if (status === undefined) return undefined;
      const field = (key: string): number => Number(new RegExp(`^${key}:\\s+(\\d+)`, "m").exec(status)?.[1] ?? 0);
      return { pid: Number(name), parent: field("PPid"), bytes: 1024 * (field("RssAnon") + field("RssShmem")) };
    }),
  );
  return rows.filter((row) => row !== undefined);
}

async function readElsewhere(): Promise<ProcessRow[]> {
  const { stdout } = await promisify(execFile)("ps", ["-A", "-o", "pid=,ppid=,rss="]);
  return stdout
    .trim()
    .split("\n")
    .map((line) => {
      const [pid, parent, kibibytes] = line.trim().split(/\s+/).map(Number) as [number, number, number];
      return { pid, parent, bytes: 1024 * kibibytes };
    });
}

/** All processes that `pid` has started, and those that they have, without itself. */
async function descendants(pid: number): Promise<ProcessRow[]> {
  const rows = await (process.platform === "linux" ? readLinux() : readElsewhere());
  const children = new Map<number, ProcessRow[]>();
  for (const row of rows) children.set(row.parent, [...(children.get(row.parent) ?? []), row]);
  const found: ProcessRow[] = [];
  const pending = [pid];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    for (const row of children.get(next) ?? []) {
      found.push(row);
      pending.push(row.pid);
    }
  }
  return found;
}

/** SIGKILL to all that `pid` has started; not to itself. */
export async function killDescendants(pid: number): Promise<void> {
  for (const row of await descendants(pid)) {
    try {
      process.kill(row.pid, "SIGKILL");
    } catch {
      // It has ended by itself.
    }
  }
}

const POLL_MS = 100;

/**
 * Ends all that `pid` has started as soon as that holds more than `limitBytes` together. Looks every 100 ms, so a quick allocation may
 * pass the limit for a moment. `stop` ends the watch.
 */
export function watchMemory(pid: number, limitBytes: number, onExceeded: (bytes: number) => void): { stop: () => void } {
  let stopped = false;
  const look = async (): Promise<void> => {
    while (!stopped) {
      const bytes = (await descendants(pid)).reduce((sum, row) => sum + row.bytes, 0);
      if (stopped) return;
      if (bytes > limitBytes) {
        onExceeded(bytes);
        await killDescendants(pid);
      }
      await new Promise((resolve) => {
        setTimeout(resolve, POLL_MS).unref();
      });
    }
  };
  void look();
  return { stop: () => void (stopped = true) };
}
