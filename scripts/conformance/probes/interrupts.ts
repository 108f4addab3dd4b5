/** Interrupts in every state, and the end of a kernel. */
import { equal, type Probe, type ProbeContext, require } from "../probe.js";
import { pause, streamText, until } from "../session.js";

const STATES: readonly (readonly [name: string, code: string])[] = [
  ["a synchronous loop", "console.log('go'); for (;;) counter++;"],
  ["a synchronous loop after an await", "await new Promise((r) => setTimeout(r, 10)); console.log('go'); for (;;) counter++;"],
  ["a pending await", "console.log('go'); await new Promise(() => {});"],
];

async function byMessage(k: ProbeContext): Promise<void> {
  await k.client.request("control", "interrupt_request", {}, { timeoutMs: 5_000 });
}

async function bySignal(k: ProbeContext): Promise<void> {
  k.client.process.kill("SIGINT");
}

/** @throws Error unless the cell ends with an error soon, and its variables are still there */
async function stops(k: ProbeContext, code: string, interrupt: (k: ProbeContext) => Promise<void>): Promise<void> {
  await k.run("let counter = 0; const keep = 'kept';");
  let heard = false;
  const running = k.run(code, {}, { timeoutMs: 12_000, onMessage: ({ header }) => void (header.msg_type === "stream" && (heard = true)) });
  running.catch(() => undefined);
  // Not every kernel is heard while it blocks.
  await until("the cell begins", () => heard, 2_000).catch(() => undefined);
  await pause(200);
  await interrupt(k);
  equal((await running).reply.content.status, "error", "status");
  equal(streamText(await k.run("console.log(keep)")), "kept\n", "a variable of an earlier cell");
}

export const INTERRUPTS: readonly Probe[] = [
  ...(["message", "signal"] as const).flatMap((way) =>
    STATES.map(([state, code]): Probe => ({
      group: "Interrupts",
      name: `${state} is interrupted by ${way}, and variables are kept`,
      check: (k) => stops(k, code, way === "message" ? byMessage : bySignal),
    })),
  ),
  {
    group: "Interrupts",
    name: "an interrupt between cells does no harm",
    async check(k) {
      await k.run("const before = 5;");
      k.client.process.kill("SIGINT");
      await pause(300);
      equal(streamText(await k.run("console.log(before)")), "5\n", "stdout");
    },
  },
  {
    group: "Interrupts",
    name: "blocking native code is interrupted; if variables are lost, the error says so",
    async check(k) {
      await k.run("const gone = 'here';");
      const running = k.run("import { execFileSync } from 'node:child_process';\nexecFileSync('sleep', ['30'])", {}, { timeoutMs: 12_000 });
      running.catch(() => undefined);
      await pause(1_500);
      await (k.kernel.name === "Preflab" ? byMessage(k) : bySignal(k));
      const { status, evalue } = (await running).reply.content;
      equal(status, "error", "status");
      const kept = streamText(await k.run("console.log(gone)")) === "here\n";
      require(kept || /lost/.test(String(evalue)), `variables are gone, and the error says: ${String(evalue)}`);
    },
  },
  {
    group: "Life",
    name: "a crash of user code is an error of its cell, and the next cell runs",
    async check(k) {
      const run = await k.run("process.exit(3)", {}, { timeoutMs: 10_000 });
      equal(run.reply.content.status, "error", "status");
      equal(streamText(await k.run("console.log('again')")), "again\n", "stdout");
    },
  },
  {
    group: "Life",
    name: "`shutdown_request` is answered, also for a restart and while a loop runs, and the process ends",
    async check(k) {
      void k.run("for (;;);").catch(() => undefined);
      await pause(500);
      const reply = await k.client
        .request("control", "shutdown_request", { restart: true }, { timeoutMs: 8_000 })
        .catch((error: unknown) => error as Error);
      const { content } = reply instanceof Error ? { content: { status: reply.message } } : reply;
      equal(content, { status: "ok", restart: true }, "reply");
      await until("the process ends", () => k.client.process.exitCode !== null || k.client.process.signalCode !== null, 5_000);
    },
  },
];
