import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { errorOf, pause, plain, Session, streamText, until, type CellRun } from "./session.js";

let session: Session;
beforeAll(async () => {
  session = await Session.open();
});
afterAll(() => session.close());

/** Runs a cell, waits for its first output, then interrupts. */
async function runAndInterrupt(code: string, interrupt: () => unknown = () => session.client.interrupt()): Promise<CellRun> {
  let started = false;
  const running = session.run(code, {}, { onMessage: (message) => void (message.header.msg_type === "stream" && (started = true)) });
  await until("the cell runs", () => started, 30_000);
  await pause(100);
  await interrupt();
  return running;
}

describe("interrupts keep variables where JavaScript can be stopped", () => {
  beforeAll(() => session.run("let counter = 0; const keep = 'kept';"));

  test.each([
    ["a loop", "console.log('go'); for (;;) counter++;"],
    ["a loop after an await", "await new Promise((r) => setTimeout(r, 10)); console.log('go'); for (;;) counter++;"],
    ["a loop that catches everything", "console.log('go'); for (;;) { try { counter++; } catch {} }"],
    ["a wait", "console.log('go'); await new Promise(() => {});"],
    ["a chain of short waits", "console.log('go'); for (;;) await new Promise((r) => setTimeout(r, 5));"],
  ])("%s", async (_, code) => {
    const error = errorOf(await runAndInterrupt(code));
    expect(error).toMatchObject({ ename: "Interrupted" });
    expect(error.evalue).toContain("variables are kept");
    expect(plain(await session.run("keep"))).toBe("'kept'");
  });

  test("by SIGINT to the kernel, as front ends with interrupt_mode signal do", async () => {
    const run = await runAndInterrupt("console.log('go'); for (;;) counter++;", () => session.client.process.kill("SIGINT"));
    expect(errorOf(run).ename).toBe("Interrupted");
    expect(plain(await session.run("keep"))).toBe("'kept'");
  });

  test("cells queued behind the interrupted one are aborted", async () => {
    const first = runAndInterrupt("console.log('go'); for (;;) counter++;");
    const second = session.run("1");
    expect(errorOf(await first).ename).toBe("Interrupted");
    expect((await second).reply.content.status).toBe("aborted");
  });

  test("code that listens to the interrupt signal may end by itself", async () => {
    const run = await runAndInterrupt(
      "const host = (globalThis as any)[Symbol.for('preflab.notebookHost')];\nconst signal: AbortSignal = host.interruptSignal();\nconsole.log('go');\nawait new Promise((r) => signal.addEventListener('abort', r));\nconsole.log('saved');\nthrow new Error('stopped after step 3')",
    );
    expect(streamText(run)).toBe("go\nsaved\n");
    expect(errorOf(run).evalue).toBe("stopped after step 3");
  });

  test("without a running cell an interrupt does nothing", async () => {
    await session.client.interrupt();
    expect(plain(await session.run("keep"))).toBe("'kept'");
  });
});

describe("where nothing gentler works, the process is replaced and the loss is stated", () => {
  test("native code that blocks", async () => {
    await session.run("const gone = 1;");
    const run = await runAndInterrupt(
      "import { execFileSync } from 'node:child_process';\nconsole.log('go'); execFileSync('sleep', ['600'])",
    );
    expect(errorOf(run)).toMatchObject({ ename: "InterruptedStateLost" });
    expect(errorOf(run).evalue).toContain("all variables are lost");
    expect(errorOf(await session.run("gone")).evalue).toContain("Cannot find name 'gone'");
    expect(plain(await session.run("1 + 1"))).toBe("2");
  });

  test.each([
    ["process.exit(3)", "ended with exit code 3"],
    ["process.kill(process.pid, 'SIGKILL'); for (;;);", "was ended by SIGKILL"],
  ])("%s", async (code, how) => {
    const run = await session.run(`console.log('last words'); ${code}`);
    expect(errorOf(run)).toMatchObject({ ename: "ProcessDied" });
    expect(errorOf(run).evalue).toContain(how);
    expect(streamText(run)).toContain("last words\n");
    expect(plain(await session.run("'alive'"))).toBe("'alive'");
  });

  test("a death between two cells fails the next cell, once", async () => {
    await session.run("setTimeout(() => process.exit(9), 20); 0");
    await pause(500);
    const run = await session.run("'must not run'");
    expect(errorOf(run).evalue).toContain("ended with exit code 9 between two cells");
    expect(plain(await session.run("'runs'"))).toBe("'runs'");
  });
});
