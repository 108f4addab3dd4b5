/** A program over sequences: one compiled program for each form that its sequences take, and each variant of it. */
import {
  type CompileOptions,
  type Engine,
  type HostTensors,
  type Program,
  type Signature,
  type TensorMap,
  sizeNames,
} from "../../compile/index.js";
import { type SequenceForm, formOf } from "./sequenceInputs.js";

export interface SequenceProgram<Variant extends string = string> extends Pick<Program, "run" | "dispose"> {
  /** As of `Program`. @param sizes may name more than the program has */
  liveBytes(form: SequenceForm, variant: Variant, sizes: Readonly<Record<string, number>>): number | undefined;
}

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
): SequenceProgram<Variant> {
  const made = new Map<string, Program>();
  const programOf = (form: SequenceForm, variant: Variant): Program => {
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
    return program;
  };
  return {
    run: (inputs, runOptions) => programOf(formOf(inputs), variantOf(inputs)).run(inputs, runOptions),
    liveBytes: (form, variant, sizes) => {
      const known = sizeNames(signature(form));
      return programOf(form, variant).liveBytes(Object.fromEntries(Object.entries(sizes).filter(([name]) => known.includes(name))));
    },
    dispose: async () => {
      for (const program of made.values()) await program.dispose();
    },
  };
}
