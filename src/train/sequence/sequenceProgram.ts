/** A program over sequences: one compiled program for each form that its sequences take, and each variant of it. */
import type { HostTensors, Program } from "../../compile/index.js";
import { type SequenceForm, formOf } from "./sequenceInputs.js";

export type SequenceProgram = Pick<Program, "run" | "dispose">;

/**
 * @param make compiles the program for one form; called when the first sequence of the form is run
 * @param variantOf tells sequences apart that need different programs of one form
 */
export function sequenceProgram<Variant extends string>(
  make: (form: SequenceForm, variant: Variant) => Program,
  variantOf: (inputs: HostTensors) => Variant = () => "" as Variant,
): SequenceProgram {
  const made = new Map<string, Program>();
  return {
    run: (inputs: HostTensors, options) => {
      const [form, variant] = [formOf(inputs), variantOf(inputs)];
      const key = `${form} ${variant}`;
      const program = made.get(key) ?? make(form, variant);
      made.set(key, program);
      return program.run(inputs, options);
    },
    dispose: async () => {
      for (const program of made.values()) await program.dispose();
    },
  };
}
