/** The kernels that are compared, and how each is started. */
import { spawnSync } from "node:child_process";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { packageRoot } from "../../kernel-ext/user/resolution.js";
import { defaultKernelCommand } from "../../src/notebook/runner.js";
import type { KernelUnderTest } from "./probe.js";

const require = createRequire(import.meta.url);

export function preflabKernel(): KernelUnderTest {
  const { version } = require(join(packageRoot(), "package.json")) as { version: string };
  return {
    name: "Preflab",
    version,
    command: defaultKernelCommand(),
    readLine: `import { input } from "preflab";\nawait input("name? ")`,
    echoComm: `import { registerCommTarget } from "preflab";
registerCommTarget("conformance.echo", (comm) => { comm.onMessage(({ data }) => comm.send({ got: data })); });`,
    updateDisplay: `import { display } from "preflab";\nconst shown = await display("first");\nawait shown.update("second");`,
  };
}

export function tslabKernel(): KernelUnderTest {
  const file = require.resolve("tslab/package.json");
  const { version } = require(file) as { version: string };
  return {
    name: "tslab",
    version,
    command: [process.execPath, join(dirname(file), "bin", "tslab"), "kernel", "--config-path", "{connection_file}"],
    updateDisplay: `import * as tslab from "tslab";\nconst shown = tslab.newDisplay();\nshown.text("first");\nshown.text("second");`,
  };
}

/** @returns undefined where Deno is not installed */
export function denoKernel(): KernelUnderTest | undefined {
  const found = spawnSync("deno", ["--version"], { encoding: "utf8" });
  if (found.error !== undefined || found.status !== 0) return undefined;
  return {
    name: "Deno",
    version: /deno (\S+)/.exec(found.stdout)?.[1] ?? "unknown",
    command: ["deno", "jupyter", "--kernel", "--conn", "{connection_file}"],
    readLine: `prompt("name? ")`,
    // Deno has comms only for its own widgets: its API opens them from the kernel and takes no targets.
    updateDisplay: `await Deno.jupyter.broadcast("display_data", { data: { "text/plain": "first" }, metadata: {}, transient: { display_id: "c" } });
await Deno.jupyter.broadcast("update_display_data", { data: { "text/plain": "second" }, metadata: {}, transient: { display_id: "c" } });`,
  };
}
