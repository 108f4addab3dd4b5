/** A program over sequences: one compiled program for each form that its sequences take. */
import type { HostTensors, Program } from "../../compile/index.js";
import { type SequenceForm, formOf } from "./sequenceInputs.js";

export type SequenceProgram = Pick<Program, "run" | "dispose">;

/** @param make compiles the program for one form; called when the first sequence of the form is run */
export function sequenceProgram(make: (form: SequenceForm) => Program): SequenceProgram {
  const made = new Map<SequenceForm, Program>();
  return {
    run: (inputs: HostTensors, options) => {
      const form = formOf(inputs);
      const program = made.get(form) ?? make(form);
      made.set(form, program);
      return program.run(inputs, options);
    },
    dispose: async () => {
      for (const program of made.values()) await program.dispose();
    },
  };
}
