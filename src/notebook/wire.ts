/**
 * Jupyter's wire protocol 5.3: what goes over the ZeroMQ sockets, without the sockets.
 * Used by both ends: the kernel in `kernel-ext/` and the headless client here.
 * https://jupyter-client.readthedocs.io/en/stable/messaging.html
 */
import { createHmac, randomUUID, timingSafeEqual } from "node:crypto";
import { readFileSync } from "node:fs";
import { ConfigError } from "../errors.js";

export type Channel = "shell" | "control" | "iopub" | "stdin";

export interface MessageHeader {
  msg_id: string;
  msg_type: string;
  session: string;
  username: string;
  /** ISO 8601. */
  date: string;
  version: string;
}

export interface Message {
  /** ZeroMQ routing prefix: whose reply this is (ROUTER), or the topic (PUB). */
  identities: Buffer[];
  header: MessageHeader;
  /** Header of the message that this one answers; empty when there is none. */
  parent_header: Partial<MessageHeader>;
  metadata: Record<string, unknown>;
  content: Record<string, unknown>;
  /** Raw binary frames after the four JSON parts (used by comms). */
  buffers: Buffer[];
}

/** A connection file: where a kernel listens, and the key that signs every message. */
export interface ConnectionInfo {
  transport: "tcp";
  ip: string;
  shell_port: number;
  control_port: number;
  iopub_port: number;
  stdin_port: number;
  hb_port: number;
  /** Empty means: messages are not signed. */
  key: string;
  signature_scheme: "hmac-sha256";
  kernel_name?: string;
}

export const PROTOCOL_VERSION = "5.3";
const DELIMITER = Buffer.from("<IDS|MSG>");

/** @throws ConfigError when the file is not a connection file for a transport and signature that we speak */
export function readConnectionFile(path: string): ConnectionInfo {
  let info: Partial<Record<keyof ConnectionInfo, unknown>>;
  try {
    info = JSON.parse(readFileSync(path, "utf8")) as typeof info;
  } catch (cause) {
    throw new ConfigError(
      "connection_file",
      `connection file: must be readable JSON, got ${path}; start the kernel from Jupyter or with \`preflab run\``,
      { cause },
    );
  }
  if (info.transport !== undefined && info.transport !== "tcp") {
    throw new ConfigError(
      "connection_transport",
      `connection file: transport must be "tcp", got ${JSON.stringify(info.transport)}; set c.KernelManager.transport = "tcp"`,
    );
  }
  const scheme = info.signature_scheme ?? "hmac-sha256";
  if (scheme !== "hmac-sha256") {
    throw new ConfigError(
      "connection_signature",
      `connection file: signature_scheme must be "hmac-sha256", got ${JSON.stringify(scheme)}; use Jupyter's default`,
    );
  }
  for (const name of ["shell_port", "control_port", "iopub_port", "stdin_port", "hb_port"] as const) {
    if (!Number.isInteger(info[name])) {
      throw new ConfigError(
        "connection_port",
        `connection file: ${name} must be a whole number, got ${JSON.stringify(info[name])}; let Jupyter write the file`,
      );
    }
  }
  return {
    ...info,
    transport: "tcp",
    ip: String(info.ip ?? "127.0.0.1"),
    key: String(info.key ?? ""),
    signature_scheme: "hmac-sha256",
  } as ConnectionInfo;
}

export function address(info: ConnectionInfo, port: number): string {
  return `tcp://${info.ip === "*" ? "0.0.0.0" : info.ip}:${port}`;
}

export function newHeader(msg_type: string, session: string, username = "kernel"): MessageHeader {
  return { msg_id: randomUUID(), msg_type, session, username, date: new Date().toISOString(), version: PROTOCOL_VERSION };
}

function sign(key: string, parts: readonly Buffer[]): string {
  if (key === "") return "";
  const hmac = createHmac("sha256", key);
  for (const part of parts) hmac.update(part);
  return hmac.digest("hex");
}

/** The frames to send: identities, delimiter, signature, four JSON parts, binary buffers. */
export function encodeMessage(key: string, message: Message): Buffer[] {
  const parts = [message.header, message.parent_header, message.metadata, message.content].map((part) => Buffer.from(JSON.stringify(part)));
  return [...message.identities, DELIMITER, Buffer.from(sign(key, parts)), ...parts, ...message.buffers];
}

/** @throws Error when frames are missing, the signature is wrong, or a part is not a JSON object */
export function decodeMessage(key: string, frames: readonly Buffer[]): Message {
  const at = frames.findIndex((frame) => frame.equals(DELIMITER));
  if (at < 0) throw new Error("message without the <IDS|MSG> delimiter");
  const parts = frames.slice(at + 2, at + 6);
  if (parts.length < 4) throw new Error(`message with ${parts.length} of the 4 JSON parts`);
  const expected = Buffer.from(sign(key, parts));
  const signature = frames[at + 1]!;
  if (expected.length > 0 && (signature.length !== expected.length || !timingSafeEqual(signature, expected))) {
    throw new Error("message with a wrong signature");
  }
  const [header, parent_header, metadata, content] = parts.map((part): unknown => JSON.parse(part.toString("utf8")));
  for (const part of [header, parent_header, metadata, content]) {
    if (typeof part !== "object" || part === null || Array.isArray(part)) throw new Error("message part is not a JSON object");
  }
  if (typeof (header as MessageHeader).msg_type !== "string" || typeof (header as MessageHeader).msg_id !== "string")
    throw new Error("message header lacks msg_type or msg_id");
  // Headers are sent back with every answer: nothing may hide in them that cannot be written again.
  if (Object.values(header as object).some((field) => typeof field === "object" && field !== null))
    throw new Error("message header holds more than texts");
  return {
    identities: frames.slice(0, at),
    header: header as MessageHeader,
    parent_header: parent_header as Partial<MessageHeader>,
    metadata: metadata as Record<string, unknown>,
    content: content as Record<string, unknown>,
    buffers: frames.slice(at + 6),
  };
}
