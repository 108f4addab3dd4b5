/** An engine that times the making of its programs and is otherwise the one it stands for. */
import type { Engine, HostTensor, Program, RunOptions, Signature } from "../../src/compile/index.js";
import type { MadeProgram } from "./requests.js";

/** @param onMade called for every program and combination of sizes, before its first run */
export function watchEngine(engine: Engine, onMade: (made: MadeProgram) => void): Engine {
  const compile: Engine["compile"] = (fn, signature, options) => {
    const program = engine.compile(fn, signature, options);
    return watchProgram(program, options?.sizes === "any", (inputs, run) => namedSizes(signature, inputs, run, engine), onMade);
  };
  return new Proxy(engine, {
    get(target, name) {
      if (name === "compile") return compile;
      const value: unknown = Reflect.get(target, name, target);
      // Private members are the target's own.
      return typeof value === "function" ? (value.bind(target) as unknown) : value;
    },
  });
}

type Sizes = Readonly<Record<string, number>>;
type Inputs = Readonly<Record<string, HostTensor>>;

/** @param any whether the program is made once for all sizes */
function watchProgram(
  program: Program,
  any: boolean,
  sizesOf: (inputs: Inputs, run: RunOptions) => Sizes,
  onMade: (made: MadeProgram) => void,
): Program {
  const ready = new Set<string>();
  const prepare = async (sizes: Sizes): Promise<void> => {
    const key = any
      ? "any size"
      : Object.entries(sizes)
          .map(([name, size]) => `${name}=${size}`)
          .join(" ");
    if (ready.has(key)) return;
    ready.add(key);
    const started = performance.now();
    await program.prepare(sizes);
    onMade({ name: program.name, sizes: key, seconds: (performance.now() - started) / 1000 });
  };
  return {
    name: program.name,
    prepare,
    run: async (inputs, options = {}) => {
      await prepare(sizesOf(inputs, options));
      return program.run(inputs, options);
    },
    liveBytes: (sizes) => program.liveBytes(sizes),
    dispose: () => program.dispose(),
  };
}

/** The value of every named dimension, from the inputs, the states in the store and `options.sizes`. */
function namedSizes(signature: Signature, inputs: Inputs, { sizes = {}, bind = {} }: RunOptions, engine: Engine): Sizes {
  const found: Record<string, number> = { ...sizes };
  for (const [name, { shape, role, store }] of Object.entries(signature)) {
    if (!shape.some((dimension) => typeof dimension === "string")) continue;
    const actual = role === "state" ? engine.shapeOf(bind[name] ?? store ?? name) : inputs[name]?.shape;
    shape.forEach((dimension, axis) => {
      // A sum of sizes says nothing about them.
      if (typeof dimension === "string" && !dimension.includes("+") && actual !== undefined) found[dimension] ??= actual[axis]!;
    });
  }
  return found;
}
