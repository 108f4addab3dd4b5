/** What a front end asks beside running cells. */
import type { Message } from "../../../src/notebook/wire.js";
import { malformed } from "../malformed.js";
import { equal, type Probe, type ProbeContext, require } from "../probe.js";
import { pause, plain, streamText, until } from "../session.js";

const bare = (value: unknown): string => String(value).replace(/\u001b\[[0-9;]*m/g, "");
const WAIT = "console.log('go'); await new Promise((r) => setTimeout(r, 4000));";
const BLOCK = "console.log('go'); { const end = performance.now() + 4000; while (performance.now() < end); }";

/** Asks while the cell runs, and tells whether the answer came before its end. */
async function whileRunning<T>(k: ProbeContext, code: string, ask: () => Promise<T>): Promise<T> {
  let started = false;
  let ended = false;
  const running = k
    .run(code, {}, { onMessage: ({ header }) => void (header.msg_type === "stream" && (started = true)) })
    .finally(() => (ended = true));
  // A kernel that is not heard while it blocks has begun nevertheless.
  await until("the cell begins", () => started, 1_000).catch(() => undefined);
  try {
    const answer = await ask();
    require(!ended, "the answer came after the cell had ended");
    return answer;
  } finally {
    await running;
  }
}

async function completes(k: ProbeContext): Promise<void> {
  const { matches } = await k.ask("complete_request", { code: "preference.cho", cursor_pos: 14 });
  require(Array.isArray(matches) &&
    matches.some((match) => String(match).endsWith("chosen")), `matches: ${JSON.stringify(matches)?.slice(0, 100)}`);
}

async function inspects(k: ProbeContext): Promise<void> {
  const { found, data } = await k.ask("inspect_request", { code: "preference", cursor_pos: 4, detail_level: 0 });
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
      await whileRunning(k, BLOCK.replace("4000", "8000"), async () => {
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
        await until("the echo", () => got.length > 0, 3_000);
      }).finally(stop);
      equal(got[0], { got: { n: 1 } }, "answer");
    },
  },
  {
    group: "Robustness",
    name: "500 malformed messages and comm payloads leave the kernel and its variables alive",
    async check(k) {
      await k.run("const survivor = 'alive';");
      if (k.kernel.echoComm !== undefined) await k.run(k.kernel.echoComm);
      await malformed(k.client, 500);
      const deadline = performance.now() + 60_000;
      for (;;) {
        const answer = await k.run("console.log(survivor)", {}, { timeoutMs: 30_000 }).catch((error: unknown) => error as Error);
        if (!(answer instanceof Error) && streamText(answer) === "alive\n") return;
        require(performance.now() < deadline, answer instanceof Error
          ? answer.message
          : `the cell ended with ${JSON.stringify(answer.reply.content).slice(0, 200)}`);
        await pause(200);
      }
    },
  },
];
