/**
 * Writes a graph as the bytes of an ONNX ModelProto. The schema below holds only what is written; names and field
 * numbers are those of onnx.proto3 (ONNX IR version 9).
 */
import protobuf from "protobufjs";
import { EngineError } from "../errors.js";
import type { Dimension } from "./engine.js";
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
    TypeProto: { fields: { tensor_type: { type: "TypeProtoTensor", id: 1 } } },
    TypeProtoTensor: { fields: { elem_type: { type: "int32", id: 1 }, shape: { type: "TensorShapeProto", id: 2 } } },
    TensorShapeProto: { fields: { dim: { rule: "repeated", type: "Dimension", id: 1 } } },
    Dimension: { fields: { dim_value: { type: "int64", id: 1 }, dim_param: { type: "string", id: 2 } } },
  },
});
const ModelProto = schema.lookupType("ModelProto");

/** TensorProto.DataLocation */
const EXTERNAL = 1;

export interface OnnxModelOptions {
  /** Shapes with open dimensions, by the name of the graph input. */
  readonly openShapes?: ReadonlyMap<string, readonly Dimension[]>;
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
  { openShapes, external = new Set() }: OnnxModelOptions = {},
): Uint8Array<ArrayBuffer> {
  const initializers = new Map<string, object>();
  for (const value of graph.inputs) if (external.has(value.name)) initializers.set(value.name, externalTensorProto(value));
  // A node writes an output itself where it can: what a session is told to put somewhere (`place`) is then there when the node is done.
  const direct = new Map<Value, string>();
  for (const [name, value] of outputs) if (value.producer !== undefined && !direct.has(value)) direct.set(value, name);
  const nodes: object[] = [];
  const nameOf = (value: Value | null): string => {
    if (value === null) return "";
    if ((value.data !== undefined || value.uniform !== undefined) && !initializers.has(value.name)) {
      initializers.set(value.name, tensorProto(value));
    }
    return direct.get(value) ?? value.name;
  };
  for (const [index, node] of graph.nodes.entries()) {
    nodes.push({
      input: node.inputs.map(nameOf),
      output: node.outputs.map((value) => direct.get(value) ?? value.name),
      name: `${node.opType}#${index}`,
      op_type: node.opType,
      domain: node.domain,
      attribute: attributeProtos(node.attributes),
    });
  }
  for (const [name, value] of outputs)
    if (direct.get(value) !== name) nodes.push({ input: [nameOf(value)], output: [name], name: `out:${name}`, op_type: "Identity" });

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
      input: graph.inputs
        .filter(({ name }) => !external.has(name))
        .map((value) => valueInfo(value.name, value, openShapes?.get(value.name))),
      output: [...outputs].map(([name, value]) => valueInfo(name, value, openShapes?.get(name))),
    },
  };
  // A copy, because protobufjs hands out a view into a pooled buffer and the bytes are transferred to the worker.
  return new Uint8Array(ModelProto.encode(message).finish());
}

function valueInfo(name: string, value: Value, shape: readonly Dimension[] = value.shape): object {
  const dim = shape.map((size) => (typeof size === "number" ? { dim_value: size } : { dim_param: size }));
  return { name, type: { tensor_type: { elem_type: DATA_TYPE[value.dtype], shape: { dim } } } };
}

function externalTensorProto({ name, dtype, shape }: Value): object {
  const external_data = [{ key: "location", value: name }];
  return { dims: shape, data_type: DATA_TYPE[dtype], name, external_data, data_location: EXTERNAL };
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
