/**
 * Writes a graph as the bytes of an ONNX ModelProto. The schema below holds only what is written; names and field
 * numbers are those of onnx.proto3 (ONNX IR version 9).
 */
import protobuf from "protobufjs";
import { EngineError } from "../errors.js";
import { type Extent, type Extents, extentName } from "./anySize.js";
import { type Attributes, type DType, type Graph, type TypedArray, type Value, sizeOf } from "./graph.js";

const OPSET = 21;
/** Attention came with this one. */
const ATTENTION_OPSET = 23;
const IR_VERSION = 9;
/** TensorProto.DataType */
const DATA_TYPE: Record<DType, number> = { float32: 1, uint8: 2, int8: 3, int32: 6, int64: 7, bool: 9, float16: 10 };
/** AttributeProto.AttributeType */
const ATTRIBUTE_TYPE = { float: 1, int: 2, string: 3, ints: 7 };

const schema = protobuf.Root.fromJSON({
  nested: {
    ModelProto: {
      fields: {
        ir_version: { type: "int64", id: 1 },
        producer_name: { type: "string", id: 2 },
        graph: { type: "GraphProto", id: 7 },
        opset_import: { rule: "repeated", type: "OperatorSetIdProto", id: 8 },
      },
    },
    OperatorSetIdProto: { fields: { domain: { type: "string", id: 1 }, version: { type: "int64", id: 2 } } },
    GraphProto: {
      fields: {
        node: { rule: "repeated", type: "NodeProto", id: 1 },
        name: { type: "string", id: 2 },
        initializer: { rule: "repeated", type: "TensorProto", id: 5 },
        input: { rule: "repeated", type: "ValueInfoProto", id: 11 },
        output: { rule: "repeated", type: "ValueInfoProto", id: 12 },
        value_info: { rule: "repeated", type: "ValueInfoProto", id: 13 },
      },
    },
    NodeProto: {
      fields: {
        input: { rule: "repeated", type: "string", id: 1 },
        output: { rule: "repeated", type: "string", id: 2 },
        name: { type: "string", id: 3 },
        op_type: { type: "string", id: 4 },
        attribute: { rule: "repeated", type: "AttributeProto", id: 5 },
        domain: { type: "string", id: 7 },
      },
    },
    AttributeProto: {
      fields: {
        name: { type: "string", id: 1 },
        f: { type: "float", id: 2 },
        i: { type: "int64", id: 3 },
        s: { type: "bytes", id: 4 },
        ints: { rule: "repeated", type: "int64", id: 8 },
        type: { type: "int32", id: 20 },
      },
    },
    TensorProto: {
      fields: {
        dims: { rule: "repeated", type: "int64", id: 1 },
        data_type: { type: "int32", id: 2 },
        name: { type: "string", id: 8 },
        raw_data: { type: "bytes", id: 9 },
        external_data: { rule: "repeated", type: "StringStringEntryProto", id: 13 },
        data_location: { type: "int32", id: 14 },
      },
    },
    StringStringEntryProto: { fields: { key: { type: "string", id: 1 }, value: { type: "string", id: 2 } } },
    ValueInfoProto: { fields: { name: { type: "string", id: 1 }, type: { type: "TypeProto", id: 2 } } },
    TypeProto: { fields: { tensor_type: { type: "TypeProtoTensor", id: 1 }, sequence_type: { type: "TypeProtoSequence", id: 4 } } },
    TypeProtoSequence: { fields: { elem_type: { type: "TypeProto", id: 1 } } },
    TypeProtoTensor: { fields: { elem_type: { type: "int32", id: 1 }, shape: { type: "TensorShapeProto", id: 2 } } },
    TensorShapeProto: { fields: { dim: { rule: "repeated", type: "Dimension", id: 1 } } },
    Dimension: { fields: { dim_value: { type: "int64", id: 1 }, dim_param: { type: "string", id: 2 } } },
  },
});
const ModelProto = schema.lookupType("ModelProto");

/** TensorProto.DataLocation */
const EXTERNAL = 1;

/** Name of an output that is a sequence and stands before all others; sessionRun.ts says what for. */
export const SEQUENCE_OUTPUT = "%sequence";

export interface OnnxModelOptions {
  /**
   * The shapes of values where they are not those of the graph. Then the shapes of all results are written down, since ONNX Runtime does not
   * find them by itself, and without them it reuses no memory.
   */
  readonly extents?: Extents | undefined;
  /** Whether the model also has SEQUENCE_OUTPUT. */
  readonly withSequence?: boolean;
  /** Graph inputs that become initializers; their numbers come with the session's `externalData`, under the same names. */
  readonly external?: ReadonlySet<string>;
}

/**
 * @param outputs graph outputs by the name they get in the model
 * @returns the bytes of a `.onnx` file
 */
export function encodeOnnxModel(
  graph: Graph,
  outputs: ReadonlyMap<string, Value>,
  { extents, withSequence = false, external = new Set() }: OnnxModelOptions = {},
): Uint8Array<ArrayBuffer> {
  const initializers = new Map<string, object>();
  for (const value of graph.inputs) if (external.has(value.name)) initializers.set(value.name, externalTensorProto(value));
  const nodes: object[] = [];
  // A result that is an output gets the output's name, and no copy: its node writes it where it is wanted (`RunOptions.place`).
  const renamed = new Map<Value, string>();
  for (const [name, value] of outputs) if (value.producer !== undefined && !renamed.has(value)) renamed.set(value, name);
  const nameOf = (value: Value | null): string => {
    if (value === null) return "";
    if (renamed.has(value)) return renamed.get(value)!;
    if ((value.data !== undefined || value.uniform !== undefined) && !initializers.has(value.name)) {
      initializers.set(value.name, tensorProto(value));
    }
    return value.name;
  };
  for (const [index, node] of graph.nodes.entries()) {
    nodes.push({
      input: node.inputs.map(nameOf),
      output: node.outputs.map(nameOf),
      name: `${node.opType}#${index}`,
      op_type: node.opType,
      domain: node.domain,
      attribute: attributeProtos(node.attributes),
    });
  }
  for (const [name, value] of outputs) {
    if (renamed.get(value) !== name) nodes.push({ input: [nameOf(value)], output: [name], name: `out:${name}`, op_type: "Identity" });
  }
  const infos = [...outputs].map(([name, value]) => valueInfo(name, value, extents));
  const results = graph.nodes.flatMap((node) => node.outputs.filter((value) => !renamed.has(value)));
  if (withSequence) {
    const element = graph.scalar(0);
    nodes.push({ input: [nameOf(element)], output: [SEQUENCE_OUTPUT], name: SEQUENCE_OUTPUT, op_type: "SequenceConstruct" });
    infos.unshift({ name: SEQUENCE_OUTPUT, type: { sequence_type: { elem_type: { tensor_type: { elem_type: DATA_TYPE.float32 } } } } });
  }

  const message = {
    ir_version: IR_VERSION,
    producer_name: "preflab",
    opset_import: [
      { domain: "", version: graph.nodes.some(({ opType }) => opType === "Attention") ? ATTENTION_OPSET : OPSET },
      { domain: "com.microsoft", version: 1 },
    ],
    graph: {
      name: "traced",
      node: nodes,
      initializer: [...initializers.values()],
      input: graph.inputs.filter(({ name }) => !external.has(name)).map((value) => valueInfo(value.name, value, extents)),
      output: infos,
      value_info: extents === undefined ? [] : results.flatMap((value) => resultInfo(value, extents)),
    },
  };
  // A copy, because protobufjs hands out a view into a pooled buffer and the bytes are transferred to the worker.
  return new Uint8Array(ModelProto.encode(message).finish());
}

function externalTensorProto({ name, dtype, shape }: Value): object {
  const external_data = [{ key: "location", value: name }];
  return { dims: shape, data_type: DATA_TYPE[dtype], name, external_data, data_location: EXTERNAL };
}

function resultInfo(value: Value, extents: Extents): object[] {
  return extents(value) === undefined ? [] : [valueInfo(value.name, value, extents)];
}

function valueInfo(name: string, value: Value, extents?: Extents): object {
  const shape: readonly Extent[] = extents?.(value) ?? value.shape;
  const dim = shape.map((extent) => (typeof extent === "number" ? { dim_value: extent } : { dim_param: extentName(extent) }));
  return { name, type: { tensor_type: { elem_type: DATA_TYPE[value.dtype], shape: { dim } } } };
}

function tensorProto(value: Value): object {
  const data = value.data ?? filled(value.uniform!, value.dtype, sizeOf(value.shape));
  return {
    dims: value.shape,
    data_type: DATA_TYPE[value.dtype],
    name: value.name,
    raw_data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
  };
}

export function filled(value: number, dtype: DType, length: number): TypedArray {
  switch (dtype) {
    case "float32":
      return new Float32Array(length).fill(value);
    case "int32":
      return new Int32Array(length).fill(value);
    case "int64":
      return new BigInt64Array(length).fill(BigInt(value));
    case "int8":
      return new Int8Array(length).fill(value);
    case "float16":
      return new Uint16Array(length).fill(value);
    default:
      return new Uint8Array(length).fill(value);
  }
}

function attributeProtos(attributes: Attributes): object[] {
  return Object.entries(attributes).map(([name, value]) => {
    if (Array.isArray(value)) return { name, ints: value, type: ATTRIBUTE_TYPE.ints };
    if (typeof value === "string") return { name, s: new TextEncoder().encode(value), type: ATTRIBUTE_TYPE.string };
    if (typeof value === "object") return { name, f: value.float, type: ATTRIBUTE_TYPE.float };
    if (!Number.isInteger(value)) {
      throw new EngineError(
        "attribute_type",
        `attribute ${name}: a number is written as int, got ${value}; wrap floats as {float: ${value}}`,
      );
    }
    return { name, i: value, type: ATTRIBUTE_TYPE.int };
  });
}
