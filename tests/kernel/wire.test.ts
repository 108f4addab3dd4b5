import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { LineReader } from "../../kernel-ext/channel.js";
import { codePointOffset, utf16Offset } from "../../kernel-ext/cursor.js";
import { decodeMessage, encodeMessage, newHeader, readConnectionFile, type Message } from "../../src/notebook/wire.js";

const message = (): Message => ({
  identities: [Buffer.from("client"), Buffer.from([0, 255])],
  header: newHeader("execute_request", "s"),
  parent_header: {},
  metadata: { a: 1 },
  content: { code: "1 + 1 // سلام 😀" },
  buffers: [Buffer.from([1, 2, 3])],
});

describe("wire protocol", () => {
  test("a message survives encoding, with identities and binary buffers", () => {
    const sent = message();
    expect(decodeMessage("key", encodeMessage("key", sent))).toEqual(sent);
  });

  test("the signature is HMAC-SHA256 of the four JSON parts", () => {
    // Computed with Python: hmac.new(b"key", b'{"msg_id":"1","msg_type":"t"}' + b"{}" * 3, "sha256").hexdigest()
    const frames = encodeMessage("key", {
      ...message(),
      header: { msg_id: "1", msg_type: "t" } as Message["header"],
      metadata: {},
      content: {},
      buffers: [],
    });
    expect(frames[3]!.toString()).toBe("5a6c96f5a0f3230fbe86bfe303866f2d24973553340f47c2e875f41a4466863b");
  });

  test("a wrong key, a changed part and a missing signature are refused", () => {
    const frames = encodeMessage("key", message());
    expect(() => decodeMessage("other", frames)).toThrow("message with a wrong signature");
    const changed = [...frames];
    changed[7] = Buffer.from('{"code":"evil"}');
    expect(() => decodeMessage("key", changed)).toThrow("message with a wrong signature");
    const unsigned = [...frames];
    unsigned[3] = Buffer.alloc(0);
    expect(() => decodeMessage("key", unsigned)).toThrow("message with a wrong signature");
  });

  test("malformed frames are refused with a reason", () => {
    expect(() => decodeMessage("", [Buffer.from("x")])).toThrow("without the <IDS|MSG> delimiter");
    expect(() => decodeMessage("", [Buffer.from("<IDS|MSG>"), Buffer.from(""), Buffer.from("{}")])).toThrow("1 of the 4 JSON parts");
    const parts = (header: string): Buffer[] => ["<IDS|MSG>", "", header, "{}", "{}", "{}"].map((part) => Buffer.from(part));
    expect(() => decodeMessage("", parts("[]"))).toThrow("not a JSON object");
    expect(() => decodeMessage("", parts("{}"))).toThrow("lacks msg_type");
    expect(() => decodeMessage("", parts("{"))).toThrow(SyntaxError);
  });

  test("a connection file must be for TCP and HMAC-SHA256, with all ports", () => {
    const file = join(mkdtempSync(join(tmpdir(), "preflab-wire-")), "c.json");
    const good = {
      transport: "tcp",
      ip: "127.0.0.1",
      shell_port: 1,
      control_port: 2,
      iopub_port: 3,
      stdin_port: 4,
      hb_port: 5,
      key: "k",
      signature_scheme: "hmac-sha256",
    };
    const read = (content: unknown): unknown => {
      writeFileSync(file, typeof content === "string" ? content : JSON.stringify(content));
      return readConnectionFile(file);
    };
    expect(read(good)).toEqual(good);
    expect(() => read({ ...good, transport: "ipc" })).toThrow('transport must be "tcp", got "ipc"');
    expect(() => read({ ...good, signature_scheme: "hmac-md5" })).toThrow('signature_scheme must be "hmac-sha256"');
    expect(() => read({ ...good, hb_port: undefined })).toThrow("hb_port must be a whole number, got undefined");
    expect(() => read("{")).toThrow("must be readable JSON");
  });
});

test("lines of JSON are put together from any pieces, also inside a character", () => {
  const bytes = Buffer.from(`${JSON.stringify({ text: "é😀\n" })}\n${JSON.stringify({ text: "b" })}\n`);
  for (let size = 1; size <= bytes.length; size++) {
    const seen: unknown[] = [];
    const reader = new LineReader<unknown>((line) => seen.push(line));
    for (let at = 0; at < bytes.length; at += size) reader.push(bytes.subarray(at, at + size));
    expect(seen).toEqual([{ text: "é😀\n" }, { text: "b" }]);
  }
});

test("cursor positions count code points on the wire and UTF-16 units inside", () => {
  expect(utf16Offset("a😀b", 2)).toBe(3);
  expect(codePointOffset("a😀b", 3)).toBe(2);
  expect(utf16Offset("ab", 9)).toBe(2);
});
