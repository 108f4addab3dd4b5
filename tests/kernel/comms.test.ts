import { afterAll, beforeAll, expect, test } from "vitest";
import type { Message } from "../../src/notebook/wire.js";
import { errorOf, pause, plain, Session, streamText, types, until, type CellRun } from "./session.js";

let session: Session;
const seen: Message[] = [];
let stop: () => void;
beforeAll(async () => {
  session = await Session.open();
  stop = session.client.listen(
    (message, channel) => void (channel === "iopub" && message.header.msg_type.startsWith("comm_") && seen.push(message)),
  );
});
afterAll(async () => {
  stop();
  await session.close();
});

function sent(comm_id: string, msg_type = "comm_msg"): Message[] {
  return seen.filter((message) => message.header.msg_type === msg_type && message.content.comm_id === comm_id);
}
const tell = (comm_id: string, data: unknown, buffers: Buffer[] = []): string =>
  session.client.send("shell", "comm_msg", { comm_id, data }, {}, buffers);
const open = (comm_id: string, target_name: string, data: unknown = {}): string =>
  session.client.send("shell", "comm_open", { comm_id, target_name, data });

async function comms(target_name?: string): Promise<unknown> {
  const reply = await session.client.request("shell", "comm_info_request", target_name === undefined ? {} : { target_name }, {
    timeoutMs: 20_000,
  });
  expect(reply.header.msg_type).toBe("comm_info_reply");
  return reply.content.comms;
}

const ECHO = `import { registerCommTarget, openComm } from "preflab";
const unregister = registerCommTarget("echo", (comm, opening) => {
  comm.send({ opened: opening.data });
  comm.onMessage((message) => {
    console.log("heard", JSON.stringify(message.data));
    comm.send({ echo: message.data, lengths: message.buffers.map((bytes) => bytes.length) }, { buffers: message.buffers, metadata: { kind: "echo" } });
  });
  comm.onClose(() => console.log("closed"));
});`;
let registering: CellRun;

test("an unknown target is closed, and the list of comms is empty", async () => {
  open("nobody", "jupyter.widget");
  await until("comm_close", () => sent("nobody", "comm_close").length === 1);
  expect(await comms()).toEqual({});
});

test("the front end opens a comm, sends data and bytes, and gets answers; the list knows it", async () => {
  registering = await session.run(ECHO);
  expect(registering.reply.content.status).toBe("ok");
  open("c1", "echo", { hello: "سلام" });
  await until("the answer to opening", () => sent("c1").length === 1);
  expect(sent("c1")[0]!.content).toEqual({ comm_id: "c1", data: { opened: { hello: "سلام" } } });
  const id = tell("c1", { n: 1 }, [Buffer.from([0, 255, 10]), Buffer.alloc(0)]);
  await until("the echo", () => sent("c1").length === 2);
  const echo = sent("c1")[1]!;
  expect(echo.content.data).toEqual({ echo: { n: 1 }, lengths: [3, 0] });
  expect(echo.buffers.map((bytes) => [...bytes])).toEqual([[0, 255, 10], []]);
  expect(echo.metadata).toEqual({ kind: "echo" });
  // An answer names its question, as after a page was loaded anew.
  expect(echo.parent_header.msg_id).toBe(id);
  expect(await comms()).toEqual({ c1: { target_name: "echo" } });
  expect(await comms("other")).toEqual({});
});

test("messages arrive in order while a cell runs, are framed by busy and idle, and what listeners print goes to the registering cell", async () => {
  const heard: Message[] = [];
  const states: unknown[] = [];
  let last = "";
  const stopHearing = session.client.listen((message) => {
    if (message.header.msg_type === "stream") heard.push(message);
    if (message.header.msg_type === "status" && message.parent_header.msg_id === last) states.push(message.content.execution_state);
  });
  const before = sent("c1").length;
  let ended = false;
  const running = session
    .run("console.log('running'); await new Promise((r) => setTimeout(r, 1500)); 'done'")
    .finally(() => (ended = true));
  await until("the cell runs", () => heard.length > 0);
  for (let n = 0; n < 50; n++) last = tell("c1", { n });
  await until("50 echoes", () => sent("c1").length === before + 50);
  expect(ended).toBe(false);
  expect(
    sent("c1")
      .slice(before)
      .map(({ content }) => (content.data as { echo: { n: number } }).echo.n),
  ).toEqual(Array.from({ length: 50 }, (_, n) => n));
  expect(plain(await running)).toBe("'done'");
  expect(streamText(await running)).toBe("running\n");
  await until("what the listener printed", () =>
    heard
      .filter((message) => message.parent_header.msg_id === registering.reply.parent_header.msg_id)
      .map(({ content }) => content.text)
      .join("")
      .includes('{"n":49}'),
  );
  stopHearing();
  expect(states).toEqual(["busy", "idle"]);
});

test("code opens a comm, the front end answers and closes", async () => {
  const run = await session.run(
    `const own = openComm("preflab.test", { version: 1 }, { buffers: [Uint8Array.of(7)] });
const got: unknown[] = [];
own.onMessage((message) => void got.push(message.data));
own.comm_id`,
  );
  expect(types(run)).toEqual(["comm_open", "execute_result"]);
  const { comm_id, target_name, data } = run.outputs[0]!.content as { comm_id: string; target_name: string; data: unknown };
  expect([target_name, data, [...run.outputs[0]!.buffers[0]!]]).toEqual(["preflab.test", { version: 1 }, [7]]);
  expect(plain(run)).toBe(`'${comm_id}'`);
  tell(comm_id, { from: "front end" });
  session.client.send("shell", "comm_close", { comm_id, data: {} });
  expect(plain(await session.run("JSON.stringify(got) + own.closed"))).toBe(`'[{"from":"front end"}]true'`);
  expect(errorOf(await session.run("own.send({})")).traceback).toContain("ConfigError [comm_closed]");
  expect(types(await session.run("own.close()"))).toEqual([]);
});

test("a listener that throws, at once or later, is told on stderr and stops nothing", async () => {
  await session.run(
    `registerCommTarget("bad", (comm) => { comm.onMessage(async (message) => { if (message.data.later) await null; throw new Error("listener " + message.data.later); }); });
registerCommTarget("worse", () => { throw new RangeError("cannot open"); });`,
  );
  let text = "";
  const stopHearing = session.client.listen(
    (message) => void (message.header.msg_type === "stream" && (text += String(message.content.text))),
  );
  open("bad1", "bad");
  tell("bad1", { later: false });
  tell("bad1", { later: true });
  open("worse1", "worse");
  await until("three reports", () => ["listener false", "listener true", "cannot open"].every((part) => text.includes(part)));
  stopHearing();
  expect(text).toContain("Error in a listener of the comm bad:");
  await until("the comm that could not be opened is closed", () => sent("worse1", "comm_close").length === 1);
  expect(await comms("bad")).toEqual({ bad1: { target_name: "bad" } });
  expect(await comms("worse")).toEqual({});
});

test("a target registered by the running cell is found by a comm_open that was sent behind it", async () => {
  const cell = session.run(`registerCommTarget("later", (comm) => comm.send({ here: true }));`);
  open("late", "later");
  tell("late", { ignored: true });
  await cell;
  await until("the answer", () => sent("late").length === 1);
});

test("a listener that never returns is cut off by an interrupt, and the session lives", async () => {
  await session.run(`registerCommTarget("loop", (comm) => { comm.send({ ready: true }); for (;;); });`);
  open("looping", "loop");
  await until("the loop", () => sent("looping").length === 1);
  await pause(100);
  await session.client.interrupt();
  expect(plain(await session.run("own.closed"))).toBe("true");
});

test("data that JSON cannot hold and names that are none are refused with what to do", async () => {
  const error = errorOf(await session.run(`const circle: any = {}; circle.self = circle; openComm("x", circle)`));
  expect(error.traceback).toContain("ConfigError [comm_data]");
  expect(error.evalue).toContain("send plain objects, and bytes as buffers");
  expect(errorOf(await session.run(`registerCommTarget("", () => {})`)).traceback).toContain("ConfigError [comm_target]");
  expect(await comms("x")).toEqual({});
});

test("when the process dies, its comms are closed", async () => {
  await session.run("process.exit(0)");
  await until("comm_close", () => sent("c1", "comm_close").length === 1);
  expect(await comms()).toEqual({});
  open("again", "echo");
  await until("comm_close", () => sent("again", "comm_close").length === 1);
});
