/** What the loggers share: one way to lose entries, one list of what is secret. */
import type { TrainingOptions } from "../options/trainingConfig.js";

/** The options of any trainer. */
export type ReportedArgs = TrainingOptions & { to_json(): Record<string, unknown> };

/**
 * Log entries that could not be written. Losing some must not end hours of training: the first failure is told at once, further
 * ones are counted, and the end tells the number.
 */
export class LostEntries {
  readonly #name: string;
  readonly #warn: (text: string) => void;
  #warned = false;
  #count = 0;
  #reason = "";

  /** @param name of the logger, before every message */
  constructor(name: string, warn: (text: string) => void) {
    this.#name = name;
    this.#warn = warn;
  }

  /** Tells a failure, the first one only. @param advice what happens now */
  fail(reason: string, advice: string): void {
    this.#reason = reason;
    if (this.#warned) return;
    this.#warned = true;
    this.#warn(`${this.#name}: ${reason}; training goes on, ${advice}`);
  }

  /** Counts entries that are gone for good. */
  add(count: number): void {
    this.#count += count;
  }

  /** At the end of training: how many are gone, and why. */
  tell(): void {
    if (this.#count > 0)
      this.#warn(`${this.#name}: ${this.#count} log ${this.#count === 1 ? "entry was" : "entries were"} lost; ${this.#reason}`);
    this.#count = 0;
  }
}

const SECRET = /(^hub_token$|^push_to_hub_token$|password|secret|api_key)/;

/** The options as plain JSON, without secrets. */
export function publicArgs(args: ReportedArgs): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(args.to_json()).map(([name, value]) => [name, SECRET.test(name) && value !== null ? `<${name.toUpperCase()}>` : value]),
  );
}
