/** Results, errors and streams of cells. */
import type { Message } from "../../../src/notebook/wire.js";
import { equal, type Probe, require } from "../probe.js";
import { errorOf, pause, plain, streamText, types } from "../session.js";

/** Front ends colour text; what it says counts. */
const bare = (value: unknown): string => String(value).replace(/\u001b\[[0-9;]*m/g, "");
const LINES = 20_000;

export const CELLS: readonly Probe[] = [
  {
    group: "Results",
    name: "the last value is an `execute_result` with the reply's `execution_count`",
    async check(k) {
      const run = await k.run("const first: number = 20;\nfirst * 2 + 2");
      equal(types(run), ["execute_result"], "messages");
      equal(bare(plain(run)), "42", "text/plain");
      require(typeof run.reply.content.execution_count ===
        "number", `execution_count of the reply: ${String(run.reply.content.execution_count)}`);
      equal(run.outputs[0]!.content.execution_count, run.reply.content.execution_count, "execution_count");
    },
  },
  {
    group: "Results",
    name: "counts go up by one; silent cells show no result and do not count",
    async check(k) {
      const before = (await k.run("1")).reply.content.execution_count as number;
      equal(types(await k.run("1", { silent: true })), [], "messages of a silent cell");
      equal((await k.run("1")).reply.content.execution_count, before + 1, "count");
    },
  },
  {
    group: "Results",
    name: "top-level `await`, also `await (x)` and `for await`",
    async check(k) {
      equal(bare(plain(await k.run("await Promise.resolve(7)"))), "7", "await x");
      equal(bare(plain(await k.run("await (Promise.resolve(8))"))), "8", "await (x)");
      equal(
        bare(plain(await k.run("let sum = 0; for await (const value of [1, Promise.resolve(3)]) sum += value; sum"))),
        "4",
        "for await",
      );
    },
  },
  {
    group: "Results",
    name: "`display_id`: a display is updated in place",
    async check(k) {
      require(k.kernel.updateDisplay !== undefined, "no way to do so is documented");
      const run = await k.run(k.kernel.updateDisplay!);
      equal(types(run), ["display_data", "update_display_data"], "messages");
      const [first, second] = run.outputs.map(({ content }) => (content.transient as { display_id?: unknown } | undefined)?.display_id);
      require(first !== undefined && first === second, `display_id: ${String(first)} and ${String(second)}`);
    },
  },
  {
    group: "Results",
    name: "an object's `Jupyter.display` gives its MIME bundle",
    async check(k) {
      const run = await k.run(`({ [Symbol.for("Jupyter.display")]: () => ({ "text/html": "<b>x</b>", "text/plain": "x" }) })`);
      equal(
        run.outputs.map(({ content }) => content.data),
        [{ "text/html": "<b>x</b>", "text/plain": "x" }],
        "bundle",
      );
    },
  },
  {
    group: "Results",
    name: "`user_expressions` are evaluated",
    async check(k) {
      const run = await k.run("const base = 4;", { user_expressions: { right: "base * 2", wrong: "nothingLikeThis" } });
      const values = run.reply.content.user_expressions as Record<string, { status?: string; data?: Record<string, unknown> }> | undefined;
      equal(bare(values?.right?.data?.["text/plain"]), "8", "value");
      equal(values?.wrong?.status, "error", "status of a wrong one");
    },
  },
  {
    group: "Errors",
    name: "a thrown error is an `error` message; the reply has the same `ename`, `evalue`, `traceback`",
    async check(k) {
      const run = await k.run("throw new RangeError('too far')");
      const error = errorOf(run);
      equal([bare(error.ename), bare(error.evalue)], ["RangeError", "too far"], "error");
      const { status, ename, evalue, traceback } = run.reply.content;
      equal(
        [status, ename, evalue, (traceback as string[] | undefined)?.join("\n")],
        ["error", error.ename, error.evalue, error.traceback],
        "reply",
      );
      require(error.traceback !== "", "the traceback is empty");
    },
  },
  {
    group: "Errors",
    name: "the traceback points at cell and line, with a caret",
    async check(k) {
      const run = await k.run("function fail(): number {\n  throw new Error('here');\n}\n\nfail();");
      const text = bare(errorOf(run).traceback);
      require(new RegExp(`cell\\[?${String(run.reply.content.execution_count)}\\]?\\D*:2`, "i").test(text), `no cell and line in: ${text}`);
      require(/^[ |>]*\^/m.test(text), `no caret in: ${text}`);
    },
  },
  {
    group: "Errors",
    name: "a type error has the same form, and nothing of the cell runs",
    async check(k) {
      const run = await k.run("console.log('ran');\nconst rate: number = 'fast';");
      equal(streamText(run), "", "stdout");
      const { evalue, traceback } = errorOf(run);
      require(/not assignable/.test(evalue), `evalue: ${evalue}`);
      require(/\^\^\^\^/.test(bare(traceback)), `no caret in: ${bare(traceback)}`);
    },
  },
  {
    group: "Errors",
    name: "cells queued behind an error are said to be `aborted`; the next one runs at once",
    async check(k) {
      const queued = [k.run("await new Promise((r) => setTimeout(r, 200)); throw new Error('first')"), k.run("1"), k.run("2")];
      equal(
        (await Promise.all(queued)).map(({ reply }) => reply.content.status),
        ["error", "aborted", "aborted"],
        "status",
      );
      await Promise.all([k.run("throw new Error('again')")]);
      equal((await k.run("3")).reply.content.status, "ok", "status of the next cell");
    },
  },
  {
    group: "Errors",
    name: "an unhandled rejection fails the cell",
    async check(k) {
      const run = await k.run("async function late() { await null; throw new TypeError('lost'); }\nlate();\n'value'");
      equal(bare(errorOf(run).evalue), "lost", "evalue");
      equal(run.reply.content.status, "error", "status");
    },
  },
  {
    group: "Streams",
    name: "20,000 lines arrive complete, in order, before the cell is idle",
    async check(k) {
      const run = await k.run(`for (let i = 0; i < ${LINES}; i++) console.log("line " + i);`, {}, { timeoutMs: 60_000 });
      const text = streamText(run);
      const lines = text.split("\n").length - 1;
      require(text === Array.from({ length: LINES }, (_, i) => `line ${i}\n`).join(""), `${lines} of ${LINES} lines, or not in order`);
    },
  },
  {
    group: "Streams",
    name: "late output of an async task stays with its own cell",
    async check(k) {
      const streams: Message[] = [];
      const stop = k.client.listen((message) => void (message.header.msg_type === "stream" && streams.push(message)));
      const first = await k.run("(async () => { await new Promise((r) => setTimeout(r, 700)); console.log('mine'); })();\nundefined");
      await k.run("await new Promise((r) => setTimeout(r, 1500));");
      await pause(300);
      stop();
      const mine = streams.find(({ content }) => String(content.text).includes("mine"));
      equal(mine?.parent_header.msg_id, first.reply.parent_header.msg_id, "cell of the output");
    },
  },
  {
    group: "Streams",
    name: "a blocking loop is heard while it runs",
    async check(k) {
      let heard = Infinity;
      const started = performance.now();
      await k.run(
        "console.log('begin'); { const end = performance.now() + 2500; while (performance.now() < end); }",
        {},
        {
          onMessage: ({ header }) => {
            if (header.msg_type === "stream") heard = Math.min(heard, performance.now() - started);
          },
        },
      );
      require(heard < 2_000, `heard after ${heard === Infinity ? "never" : `${Math.round(heard)} ms`}`);
    },
  },
  {
    group: "Streams",
    name: "output of child processes belongs to the cell",
    async check(k) {
      const run = await k.run(
        "import { spawnSync } from 'node:child_process';\nspawnSync('sh', ['-c', 'echo from the child'], { stdio: 'inherit' });\nundefined",
      );
      equal(streamText(run), "from the child\n", "stdout");
    },
  },
];
