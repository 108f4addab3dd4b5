/** What a front end asks beside running cells. */
import type { Message } from "../../../src/notebook/wire.js";
import { malformed } from "../malformed.js";
import { equal, type Probe, type ProbeContext, require } from "../probe.js";
import { pause, plain, streamText, until } from "../session.js";

const bare = (value: unknown): string => String(value).replace(/\u001b\[[0-9;]*m/g, "");
/** Longer than an answer takes on a busy machine: another type checker may have to start. */
const LONG_MS = 60_000;
const WAIT = `console.log('go'); await new Promise((r) => setTimeout(r, ${LONG_MS}));`;
const BLOCK = `console.log('go'); { const end = performance.now() + ${LONG_MS}; while (performance.now() < end); }`;

/** Asks while the cell runs, and tells whether the answer came before its end. The cell is interrupted when the answer is there. */
async function whileRunning(k: ProbeContext, code: string, ask: () => Promise<void>): Promise<void> {
  let started = false;
  let ended = false;
  const running = k
    .run(code, {}, { timeoutMs: 2 * LONG_MS, onMessage: ({ header }) => void (header.msg_type === "stream" && (started = true)) })
    .finally(() => (ended = true));
  running.catch(() => undefined);
  // A kernel that is not heard while it blocks has begun nevertheless.
  await until("the cell begins", () => started, 1_000).catch(() => undefined);
  await ask();
  require(!ended, "the answer came after the cell had ended");
  if (k.kernel.name === "Preflab") await k.client.request("control", "interrupt_request", {}, { timeoutMs: 10_000 });
  else k.client.process.kill("SIGINT");
  await running;
}

async function completes(k: ProbeContext): Promise<void> {
  const { matches } = await k.ask("complete_request", { code: "preference.cho", cursor_pos: 14 }, LONG_MS);
  require(Array.isArray(matches) &&
    matches.some((match) => String(match).endsWith("chosen")), `matches: ${JSON.stringify(matches)?.slice(0, 100)}`);
}

async function inspects(k: ProbeContext): Promise<void> {
  const { found, data } = await k.ask("inspect_request", { code: "preference", cursor_pos: 4, detail_level: 0 }, LONG_MS);
  require(found === true && /chosen/.test(JSON.stringify(data)), `found: ${String(found)} ${JSON.stringify(data)?.slice(0, 100)}`);
}

const DECLARE = "const preference = { chosen: 1, rejected: 2 };";

export const PROTOCOL: readonly Probe[] = [
  {
    group: "Requests",
    name: "completion and inspection between cells",
    async check(k) {
      await k.run(DECLARE);
      await completes(k);
      await inspects(k);
    },
  },
  {
    group: "Requests",
    name: "completion and inspection while a cell awaits",
    async check(k) {
      await k.run(DECLARE);
      await whileRunning(k, WAIT, async () => {
        await completes(k);
        await inspects(k);
      });
    },
  },
  {
    group: "Requests",
    name: "completion and inspection while a synchronous loop runs",
    async check(k) {
      await k.run(DECLARE);
      await whileRunning(k, BLOCK, async () => {
        await completes(k);
        await inspects(k);
      });
    },
  },
  {
    group: "Requests",
    name: "`is_complete_request` tells whole code from half code",
    async check(k) {
      equal((await k.ask("is_complete_request", { code: "1 + 1" })).status, "complete", "1 + 1");
      equal((await k.ask("is_complete_request", { code: "function f() {" })).status, "incomplete", "function f() {");
    },
  },
  {
    group: "Requests",
    name: "history: `tail`, `range` and `search`",
    async check(k) {
      await k.run("const remembered = 1;");
      const inputs = async (content: Record<string, unknown>): Promise<unknown[]> =>
        ((await k.ask("history_request", { output: false, raw: true, ...content })).history as unknown[][] | undefined)?.map(
          (row) => row[2],
        ) ?? [];
      equal(await inputs({ hist_access_type: "tail", n: 1 }), ["const remembered = 1;"], "tail");
      require((await inputs({ hist_access_type: "range", session: 0, start: 1, stop: 1_000 })).includes(
        "const remembered = 1;",
      ), "range: nothing");
      equal(await inputs({ hist_access_type: "search", pattern: "*rememb?red*", n: 5, unique: true }), ["const remembered = 1;"], "search");
    },
  },
  {
    group: "stdin",
    name: "user code asks for a line (`input_request`) and gets the answer",
    async check(k) {
      require(k.kernel.readLine !== undefined, "no way to do so is documented");
      const stop = k.client.listen((message: Message, channel) => {
        if (channel === "stdin" && message.header.msg_type === "input_request")
          k.client.send("stdin", "input_reply", { status: "ok", value: "سلمى" }, message.header);
      });
      try {
        require(bare(plain(await k.run(k.kernel.readLine!, { allow_stdin: true }))).includes("سلمى"), "the answer did not arrive");
      } finally {
        stop();
      }
    },
  },
  {
    group: "stdin",
    name: "without a front end that answers, asking fails instead of hanging",
    async check(k) {
      require(k.kernel.readLine !== undefined, "no way to do so is documented");
      equal((await k.run(k.kernel.readLine!, { allow_stdin: false })).reply.content.status, "error", "status");
    },
  },
  {
    group: "Comms",
    name: "`comm_info_request` gets its own reply type; an unknown target is closed",
    async check(k) {
      const reply = await k.client.request("shell", "comm_info_request", {}, { timeoutMs: 5_000 });
      equal(reply.header.msg_type, "comm_info_reply", "type of the reply");
      const closed: unknown[] = [];
      const stop = k.client.listen(({ header, content }) => void (header.msg_type === "comm_close" && closed.push(content.comm_id)));
      k.client.send("shell", "comm_open", { comm_id: "conformance", target_name: "no.such.target", data: {} });
      await until("comm_close", () => closed.includes("conformance"), 3_000).finally(stop);
    },
  },
  {
    group: "Comms",
    name: "user code registers a target; messages go both ways while a cell runs",
    async check(k) {
      require(k.kernel.echoComm !== undefined, "no way to do so is documented");
      await k.run(k.kernel.echoComm!);
      const got: unknown[] = [];
      const stop = k.client.listen(({ header, content }) => void (header.msg_type === "comm_msg" && got.push(content.data)));
      await whileRunning(k, WAIT, async () => {
        k.client.send("shell", "comm_open", { comm_id: "echo", target_name: "conformance.echo", data: {} });
        k.client.send("shell", "comm_msg", { comm_id: "echo", data: { n: 1 } });
        await until("the echo", () => got.length > 0, 5_000);
      }).finally(stop);
      equal(got[0], { got: { n: 1 } }, "answer");
    },
  },
  ...(["all", "comms"] as const).map((kind): Probe => ({
    group: "Robustness",
    name:
      kind === "all"
        ? "500 malformed messages leave the kernel and its variables alive"
        : "500 malformed comm payloads, most to a comm of user code, leave the kernel, its variables and the comms alive",
    async check(k) {
      await k.run("const survivor = 'alive';");
      require(kind === "all" || k.kernel.echoComm !== undefined, "comms are not documented");
      if (k.kernel.echoComm !== undefined) await k.run(k.kernel.echoComm);
      await malformed(k.client, 500, kind);
      await survives(k);
      if (kind === "comms") await echoes(k);
    },
  })),
];

/** Some of the messages are interrupts, and the last of them may hit this very cell. */
async function survives(k: ProbeContext): Promise<void> {
  for (let tries = 0; tries < 20; tries++) {
    const run = await k.run("console.log(survivor)", {}, { timeoutMs: 60_000 });
    if (streamText(run) === "alive\n") return;
    const { ename, evalue } = run.reply.content;
    require(ename === "Interrupted", `the cell ended with ${String(ename)}: ${String(evalue)}`);
    await pause(200);
  }
  throw new Error("interrupts do not end");
}

async function echoes(k: ProbeContext): Promise<void> {
  const got: unknown[] = [];
  const stop = k.client.listen(
    ({ header, content }) => void (header.msg_type === "comm_msg" && content.comm_id === "after" && got.push(content.data)),
  );
  k.client.send("shell", "comm_open", { comm_id: "after", target_name: "conformance.echo", data: {} });
  k.client.send("shell", "comm_msg", { comm_id: "after", data: { n: 1 } });
  await until("the echo", () => got.length > 0, 10_000).finally(stop);
  equal(got[0], { got: { n: 1 } }, "answer");
}
