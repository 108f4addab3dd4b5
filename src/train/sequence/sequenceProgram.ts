/** A program over sequences: one compiled program for each form that its sequences take, and each variant of it. */
import type { CompileOptions, Engine, HostTensors, Program, Signature, TensorMap } from "../../compile/index.js";
import { type SequenceForm, formOf } from "./sequenceInputs.js";

export type SequenceProgram = Pick<Program, "run" | "dispose">;

/** What a program over sequences is made of. */
export interface SequenceFunction<Variant extends string> extends Omit<CompileOptions, "sizes"> {
  readonly fn: (inputs: TensorMap, form: SequenceForm, variant: Variant) => TensorMap;
  /** All inputs, for a form of the sequences. */
  readonly signature: (form: SequenceForm) => Signature;
  /** Tells sequences apart that need different programs of one form; by default none do. */
  readonly variantOf?: (inputs: HostTensors) => Variant;
}

/** Compiles nothing yet: each program is made when the first sequence of its form and variant is run, and serves all lengths. */
export function sequenceProgram<Variant extends string>(
  engine: Engine,
  { fn, signature, variantOf = () => "" as Variant, key, ...options }: SequenceFunction<Variant>,
): SequenceProgram {
  const made = new Map<string, Program>();
  return {
    run: (inputs: HostTensors, runOptions) => {
      const [form, variant] = [formOf(inputs), variantOf(inputs)];
      const which = `${form} ${variant}`;
      let program = made.get(which);
      if (program === undefined) {
        program = engine.compile((given) => fn(given, form, variant), signature(form), {
          ...options,
          sizes: "any",
          key: key === undefined ? undefined : [key, variant],
        });
        made.set(which, program);
      }
      return program.run(inputs, runOptions);
    },
    dispose: async () => {
      for (const program of made.values()) await program.dispose();
    },
  };
}
