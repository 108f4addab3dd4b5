/**
 * What would go wrong silently while a function is traced, made an error: random numbers and variables would be frozen
 * into the graph. The guards stand only during a trace.
 */
import { EngineError } from "../errors.js";
import { tf } from "./tensorflow.js";

/** The TensorFlow.js operation under way that the user called, such as `tf.dropout`; undefined between operations. */
export function currentOperation(): string | undefined {
  const scope = tf.engine().state.scopeStack.find(({ name }) => name.endsWith("__op"));
  return scope === undefined ? undefined : `tf.${scope.name.slice(0, -"__op".length)}`;
}

/** What reads tensors, outermost last; the methods are called by the functions. */
const READERS = [
  "data",
  "dataSync",
  "array",
  "arraySync",
  "buffer",
  "bufferSync",
  "bytes",
  "bytesSync",
  "toString",
  "print",
  "toPixels",
  "whereAsync",
  "booleanMaskAsync",
  "setdiff1dAsync",
];

/** The name under which TensorFlow.js was asked for a tensor's values, read off the stack; `data()` if it cannot be told. */
export function currentReader(): string {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 100;
  const stack = new Error().stack ?? "";
  Error.stackTraceLimit = limit;
  const names = [...stack.matchAll(/at (?:\w+\.)?(\w+?)_? \(.*tfjs.*\)/g)]
    .map(([, name]) => name!)
    .filter((name) => READERS.includes(name));
  const outermost = names.at(-1) ?? "data";
  return outermost.endsWith("Async") || outermost === "toPixels" ? `tf.${outermost}` : `${outermost}()`;
}

/**
 * @param where names the traced function in errors
 * @returns removes the guards, and frees the tensors that `tf.keep` let live on
 */
export function setGuards(where: string): () => void {
  const engine = tf.engine();
  const backend = engine.backend;
  const keep = engine.keep.bind(engine);
  const kept: tf.Tensor[] = [];
  const instead = 'make it an input with role "state" and return its new value under the same name';
  const restore = [
    replace(Math, "random", () => {
      const operation = currentOperation() ?? "Math.random";
      const rule = `${operation} draws random numbers, which would repeat in every run; draw them outside and pass them as an input`;
      throw new EngineError("traced_random", `${where}: ${rule} (with a seed argument it is traced, and every run uses the same numbers)`);
    }),
    replace(engine, "makeVariable", () => {
      throw new EngineError("traced_variable", `${where}: tf.variable and the optimizers of tf.train cannot be traced; ${instead}`);
    }),
    replace(tf.Variable.prototype, "assign", function (this: tf.Variable) {
      throw new EngineError("traced_variable", `${where}: variable "${this.name}" cannot be assigned while tracing; ${instead}`);
    }),
    // A kept tensor outlives its scope; one without values is of no use after the trace.
    replace(engine, "keep", <T extends tf.Tensor>(tensor: T): T => {
      kept.push(tensor);
      return keep(tensor);
    }),
  ];
  return () => {
    restore.forEach((undo) => undo());
    for (const tensor of kept) if (engine.state.tensorInfo.get(tensor.dataId)?.backend === backend) tensor.dispose();
  };
}

/** @returns puts back what was there */
function replace<T extends object, K extends keyof T>(target: T, key: K, replacement: T[K]): () => void {
  const own = Object.getOwnPropertyDescriptor(target, key);
  target[key] = replacement;
  return () => {
    if (own === undefined) Reflect.deleteProperty(target, key);
    else Object.defineProperty(target, key, own);
  };
}
