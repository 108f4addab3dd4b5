/** Messages that no front end should send, the same for every run: frames without form, wrong signatures, fields of wrong types. */
import { Dealer } from "zeromq";
import { Random } from "../../src/random.js";
import type { KernelClient } from "../../src/notebook/client.js";
import { address, encodeMessage, newHeader, type Message } from "../../src/notebook/wire.js";

const SEED = 6;
const FIELDS: Readonly<Record<string, readonly string[]>> = {
  complete_request: ["code", "cursor_pos"],
  inspect_request: ["code", "cursor_pos", "detail_level"],
  is_complete_request: ["code"],
  history_request: ["hist_access_type", "n", "session", "start", "stop", "pattern", "unique", "output"],
  kernel_info_request: ["x"],
  comm_info_request: ["target_name"],
  comm_open: ["comm_id", "target_name", "data"],
  comm_msg: ["comm_id", "data"],
  comm_close: ["comm_id", "data"],
  input_reply: ["value", "status"],
  interrupt_request: ["x"],
  execute_reply: ["status"],
  debug_request: ["type", "command"],
  no_such_request: ["x"],
};
const TYPES = Object.keys(FIELDS);
/** What reaches an open comm, and user code with it. */
const COMM_TYPES = TYPES.filter((msg_type) => msg_type.startsWith("comm_") && msg_type !== "comm_info_request");

/** Deep enough to break whoever walks it by recursion. */
function deep(): unknown {
  let value: unknown = 1;
  for (let level = 0; level < 3_000; level++) value = [value];
  return value;
}

const VALUES: readonly (() => unknown)[] = [
  () => null,
  () => true,
  () => -1,
  () => 1e308,
  () => 2.5,
  () => "",
  () => "x\u0000y\ud800",
  () => "*".repeat(60) + "z",
  () => "a".repeat(100_000),
  () => [],
  () => [[{}]],
  () => ({}),
  () => ({ __proto__: { a: 1 }, constructor: 1, toString: null }),
  deep,
  () => "conformance.echo",
  () => "echo-open",
  () => undefined,
];

function part(random: Random): unknown {
  return VALUES[random.integer(VALUES.length)]!();
}

/**
 * Sends `count` malformed messages over shell, control and stdin, signed where that is not what is wrong.
 * @param kind "comms": only messages of comms, most of them to open ones
 */
export async function malformed(client: KernelClient, count: number, kind: "all" | "comms"): Promise<void> {
  const random = new Random(SEED);
  const sentTypes = kind === "all" ? TYPES : COMM_TYPES;
  const { connection } = client;
  const sockets = (["shell", "control", "stdin"] as const).map((channel) => {
    const socket = new Dealer({ linger: 1_000, sendHighWaterMark: 0 });
    socket.connect(address(connection, connection[`${channel}_port`]));
    return socket;
  });
  const message = (msg_type: string, content: unknown): Message => ({
    identities: [],
    header: newHeader(msg_type, "malformed"),
    parent_header: {},
    metadata: {},
    content: content as Message["content"],
    buffers: [],
  });
  // Open comms, if the kernel has the target: payloads to them reach user code. A malformed message may close them.
  const open = (comm_id: string): Promise<void> =>
    sockets[0]!.send(encodeMessage(connection.key, message("comm_open", { comm_id, target_name: "conformance.echo", data: {} })));
  for (let n = 0; n < count; n++) {
    if (n % 25 === 0) await open("echo-open");
    const socket = kind === "all" ? sockets[random.integer(sockets.length)]! : sockets[0]!;
    const msg_type = sentTypes[random.integer(sentTypes.length)]!;
    const content = Object.fromEntries(FIELDS[msg_type]!.map((field) => [field, part(random)]));
    if (kind === "all") {
      await socket.send(frames(random, connection.key, message(msg_type, content)));
      continue;
    }
    if (random.integer(3) > 0) content.comm_id = "echo-open";
    // Data in order, but metadata and bytes that are not: those are the comm's too.
    const whole = {
      ...message(msg_type, content),
      metadata: (part(random) ?? null) as Message["metadata"],
      buffers: [Buffer.alloc(random.integer(9))],
    };
    await socket.send(encodeMessage(connection.key, random.integer(2) === 0 ? whole : message(msg_type, content)));
  }
  for (const socket of sockets) socket.close();
}

function frames(random: Random, key: string, message: Message): Buffer[] {
  const kind = random.integer(10);
  if (kind >= 4) return encodeMessage(key, message);
  const broken = { ...message } as unknown as Record<string, unknown>;
  switch (kind) {
    case 0: {
      const whole = encodeMessage(key, message);
      return whole.slice(0, random.integer(whole.length) + 1);
    }
    case 1:
      return Array.from({ length: 1 + random.integer(8) }, () =>
        Buffer.from(Array.from({ length: random.integer(40) }, () => random.integer(256))),
      );
    case 2:
      return encodeMessage(`${key}x`, message);
    default:
      broken[["header", "parent_header", "metadata", "content"][random.integer(4)]!] = part(random) ?? null;
      return encodeMessage(key, broken as unknown as Message);
  }
}
