import { Request } from "zeromq";
import { Dealer } from "zeromq";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { address, encodeMessage, newHeader, type Message } from "../../src/notebook/wire.js";
import { pause, Session, until } from "./session.js";

let session: Session;
beforeAll(async () => {
  session = await Session.open();
});
afterAll(() => session.close());

async function ask(
  msg_type: string,
  content: Record<string, unknown> = {},
  channel: "shell" | "control" = "shell",
): Promise<Record<string, unknown>> {
  return (await session.client.request(channel, msg_type, content, { timeoutMs: 20_000 })).content;
}

describe("requests", () => {
  test("kernel_info names the language, its file type and the protocol, on shell and on control", async () => {
    for (const channel of ["shell", "control"] as const) {
      const info = await ask("kernel_info_request", {}, channel);
      expect(info).toMatchObject({
        status: "ok",
        protocol_version: "5.3",
        implementation: "preflab",
        debugger: false,
        language_info: { name: "typescript", file_extension: ".ts", mimetype: "text/typescript" },
      });
    }
  });

  test("busy and idle frame every request and name it as their parent", async () => {
    const seen: Message[] = [];
    const reply = await session.client.request(
      "shell",
      "kernel_info_request",
      {},
      { onMessage: (message, channel) => void (channel === "iopub" && seen.push(message)) },
    );
    expect(seen.map((message) => message.content.execution_state)).toEqual(["busy", "idle"]);
    expect(seen.map((message) => message.parent_header)).toEqual([reply.parent_header, reply.parent_header]);
    expect(reply.parent_header.msg_type).toBe("kernel_info_request");
  });

  test("is_complete tells whole, half and hopeless code", async () => {
    expect(await ask("is_complete_request", { code: "1 + 1" })).toEqual({ status: "complete" });
    expect(await ask("is_complete_request", { code: "function f() {" })).toEqual({ status: "incomplete", indent: "  " });
  });

  test("completion counts the cursor in code points and knows earlier cells", async () => {
    await session.run("const preference = { chosen: 1, rejected: 2 };");
    const code = "'😀'; preference.cho";
    const found = await ask("complete_request", { code, cursor_pos: Array.from(code).length });
    expect(found).toMatchObject({ status: "ok", matches: ["chosen"], cursor_start: 16, cursor_end: 19 });
  });

  test("inspection shows the type", async () => {
    const found = await ask("inspect_request", { code: "preference", cursor_pos: 3, detail_level: 0 });
    expect(found.found).toBe(true);
    expect(String((found.data as Record<string, unknown>)["text/plain"])).toContain("chosen: number");
    expect(await ask("inspect_request", { code: "   ", cursor_pos: 1, detail_level: 0 })).toMatchObject({ status: "ok", found: false });
  });

  test("history gives the cells of the session", async () => {
    const { history } = (await ask("history_request", { hist_access_type: "tail", n: 1, output: false, raw: true })) as {
      history: [number, number, string][];
    };
    expect(history).toHaveLength(1);
    expect(history[0]![2]).toContain("const preference");
  });

  test("comms: the list is empty and has its own reply type, an unknown target is closed", async () => {
    const reply = await session.client.request("shell", "comm_info_request", {});
    expect(reply.header.msg_type).toBe("comm_info_reply");
    expect(reply.content).toEqual({ status: "ok", comms: {} });
    const closed: unknown[] = [];
    const stop = session.client.listen(
      (message) => void (message.header.msg_type === "comm_close" && closed.push(message.content.comm_id)),
    );
    session.client.send("shell", "comm_open", { comm_id: "c1", target_name: "jupyter.widget", data: {} });
    await until("comm_close", () => closed.length === 1);
    stop();
    expect(closed).toEqual(["c1"]);
  });

  test("an unknown request is framed by busy and idle and does no harm", async () => {
    const states: unknown[] = [];
    let id = "";
    const stop = session.client.listen(
      (message) => void (message.parent_header.msg_id === id && states.push(message.content.execution_state)),
    );
    id = session.client.send("shell", "no_such_request", {});
    await until("idle", () => states.length === 2);
    stop();
    expect(states).toEqual(["busy", "idle"]);
  });
});

describe("sockets", () => {
  test("the heartbeat echoes, also while a cell blocks its process", async () => {
    const { connection } = session.client;
    const heart = new Request({ linger: 0, receiveTimeout: 2_000 });
    heart.connect(address(connection, connection.hb_port));
    const busy = session.run("{ const end = performance.now() + 1500; while (performance.now() < end); }");
    await pause(500);
    await heart.send("ping");
    expect((await heart.receive()).map(String)).toEqual(["ping"]);
    await busy;
    heart.close();
  });

  test("a wrongly signed request is not executed, and the next right one is", async () => {
    const { connection } = session.client;
    const intruder = new Dealer({ linger: 0, receiveTimeout: 1_000 });
    intruder.connect(address(connection, connection.shell_port));
    const forged: Message = {
      identities: [],
      header: newHeader("execute_request", "evil"),
      parent_header: {},
      metadata: {},
      content: { code: "globalThis.forged = true" },
      buffers: [],
    };
    await intruder.send(encodeMessage("not the key", forged));
    await intruder.send([Buffer.from("not a message at all")]);
    await expect(intruder.receive()).rejects.toThrow();
    intruder.close();
    const run = await session.run("typeof (globalThis as any).forged");
    expect(run.reply.content.status).toBe("ok");
    expect(run.outputs[0]!.content.data).toEqual({ "text/plain": "'undefined'" });
  });
});

describe("shutdown", () => {
  test.each([true, false])("shutdown_request with restart %s is answered in kind, then kernel and user process end", async (restart) => {
    const own = await Session.open();
    const run = await own.run("process.pid");
    const pid = Number((run.outputs[0]!.content.data as Record<string, string>)["text/plain"]);
    const exited = new Promise((resolve) => own.client.process.once("exit", resolve));
    const reply = await own.client.request("control", "shutdown_request", { restart }, { timeoutMs: 10_000 });
    expect(reply.content).toEqual({ status: "ok", restart });
    expect(await exited).toBe(0);
    await until("the user process ends", () => !alive(pid));
    await own.close();
  });

  test("a user process does not outlive a kernel that is killed, not even in a loop", async () => {
    const own = await Session.open();
    const run = await own.run("process.pid");
    const pid = Number((run.outputs[0]!.content.data as Record<string, string>)["text/plain"]);
    own.run("for (;;);").catch(() => undefined);
    await pause(500);
    expect(alive(pid)).toBe(true);
    own.client.process.kill("SIGKILL");
    await until("the user process ends", () => !alive(pid));
    await own.close();
  });
});

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
