/** Entry point of the kernel: `node main.js CONNECTION_FILE`. Jupyter starts it; see install.ts. */
import { readConnectionFile } from "../src/notebook/wire.js";
import { Kernel } from "./kernel.js";

const PARENT_POLL_MS = 1_000;

async function main(): Promise<void> {
  const file = process.argv[2];
  if (file === undefined) throw new Error("usage: node main.js CONNECTION_FILE");
  const kernel = new Kernel(readConnectionFile(file));
  process.on("SIGINT", () => void kernel.interrupt());
  process.on("SIGTERM", () => void kernel.shutdown());
  // The last resort: whatever one message broke, the others must be answered.
  process.on("uncaughtException", (error) => console.error("preflab kernel:", error));
  process.on("unhandledRejection", (error) => console.error("preflab kernel:", error));
  process.on("exit", () => kernel.killUserProcess());
  // Set by Jupyter's launcher: when that process is gone nobody can reach this kernel any more.
  if (Number(process.env.JPY_PARENT_PID ?? 0) > 1) {
    const parent = process.ppid;
    setInterval(() => {
      if (process.ppid !== parent) process.exit(0);
    }, PARENT_POLL_MS).unref();
  }
  await kernel.start();
  await kernel.closed;
  process.exit(0);
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? `preflab kernel: ${error.message}` : error);
  process.exit(1);
});
