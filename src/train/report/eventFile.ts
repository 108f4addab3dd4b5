/**
 * TensorBoard's event files: TFRecords of Event messages. The schema holds only what is written; names and field numbers are
 * those of tensorflow's event.proto, summary.proto, tensor.proto and tensor_shape.proto.
 */
import protobuf from "protobufjs";
import { maskedCrc32c } from "./crc32c.js";

const schema = protobuf.Root.fromJSON({
  nested: {
    Event: {
      oneofs: { what: { oneof: ["file_version", "summary", "session_log"] } },
      fields: {
        wall_time: { type: "double", id: 1 },
        step: { type: "int64", id: 2 },
        file_version: { type: "string", id: 3 },
        summary: { type: "Summary", id: 5 },
        session_log: { type: "SessionLog", id: 7 },
      },
    },
    SessionLog: { fields: { status: { type: "int32", id: 1 } } },
    Summary: { fields: { value: { rule: "repeated", type: "Value", id: 1 } } },
    Value: {
      oneofs: { content: { oneof: ["simple_value", "tensor"] } },
      fields: {
        tag: { type: "string", id: 1 },
        simple_value: { type: "float", id: 2 },
        tensor: { type: "TensorProto", id: 8 },
        metadata: { type: "SummaryMetadata", id: 9 },
      },
    },
    SummaryMetadata: { fields: { plugin_data: { type: "PluginData", id: 1 } } },
    PluginData: { fields: { plugin_name: { type: "string", id: 1 } } },
    TensorProto: {
      fields: {
        dtype: { type: "int32", id: 1 },
        tensor_shape: { type: "TensorShapeProto", id: 2 },
        string_val: { rule: "repeated", type: "bytes", id: 8 },
      },
    },
    TensorShapeProto: { fields: { dim: { rule: "repeated", type: "Dim", id: 2 } } },
    Dim: { fields: { size: { type: "int64", id: 1 } } },
  },
});
const Event = schema.lookupType("Event");

/** DataType.DT_STRING */
const DT_STRING = 7;
/** SessionLog.SessionStatus.START */
const START = 1;

/** When an event happened. */
export interface EventTime {
  /** Seconds since 1970. */
  wall_time: number;
  step: number;
}

/** The first record of every file. */
export function versionRecord(wall_time: number): Uint8Array {
  return record({ wall_time, file_version: "brain.Event:2" });
}

/** Tells TensorBoard to forget what it has read of this step and later ones: a run starts (again) here. */
export function startRecord(time: EventTime): Uint8Array {
  return record({ ...time, session_log: { status: START } });
}

export function scalarsRecord(time: EventTime, scalars: Readonly<Record<string, number>>): Uint8Array {
  return record({ ...time, summary: { value: Object.entries(scalars).map(([tag, simple_value]) => ({ tag, simple_value })) } });
}

/** A text, shown as Markdown. @param tag as given to SummaryWriter.add_text, which adds `/text_summary` too */
export function textRecord(time: EventTime, tag: string, text: string): Uint8Array {
  const tensor = { dtype: DT_STRING, tensor_shape: { dim: [{ size: 1 }] }, string_val: [new TextEncoder().encode(text)] };
  return record({
    ...time,
    summary: { value: [{ tag: `${tag}/text_summary`, metadata: { plugin_data: { plugin_name: "text" } }, tensor }] },
  });
}

const HEADER_BYTES = 12;
const FOOTER_BYTES = 4;

/** TFRecord: length (u64), masked CRC of the length, data, masked CRC of the data; all little-endian. */
function record(event: object): Uint8Array {
  const data = Event.encode(event).finish();
  const bytes = new Uint8Array(HEADER_BYTES + data.length + FOOTER_BYTES);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(data.length), true);
  view.setUint32(8, maskedCrc32c(bytes.subarray(0, 8)), true);
  bytes.set(data, HEADER_BYTES);
  view.setUint32(HEADER_BYTES + data.length, maskedCrc32c(data), true);
  return bytes;
}

/** How many bytes from the start are whole, unharmed records: a killed process may leave a part of one at the end. */
export function wholeBytes(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  while (at + HEADER_BYTES + FOOTER_BYTES <= bytes.length) {
    if (view.getUint32(at + 8, true) !== maskedCrc32c(bytes.subarray(at, at + 8))) break;
    const end = at + HEADER_BYTES + Number(view.getBigUint64(at, true));
    if (end + FOOTER_BYTES > bytes.length) break;
    if (view.getUint32(end, true) !== maskedCrc32c(bytes.subarray(at + HEADER_BYTES, end))) break;
    at = end + FOOTER_BYTES;
  }
  return at;
}
