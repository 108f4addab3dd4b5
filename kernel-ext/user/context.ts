/**
 * Which cell the running code belongs to, also after awaits and in timers, so that late output goes to the cell that caused it.
 *
 * Not AsyncLocalStorage: on Node 20 it keeps a stack of async ids for every promise, and cutting off a loop in a promise's
 * continuation leaves that stack unbalanced, on which Node aborts the process. V8's own promise hooks keep no stack.
 */
import { promiseHooks } from "node:v8";

let latestCell = "";
let current: string | undefined;
const cellOf = new WeakMap<Promise<unknown>, string>();

/** The cell that the running code belongs to; for code that no cell is known to have started, the latest cell. */
export function currentCell(): string {
  return current ?? latestCell;
}

export function runInCell<T>(cell: string, work: () => T): T {
  latestCell = cell;
  return inContext(cell, work);
}

/** Runs work that an earlier cell has asked for, as the listener of a comm. */
export function runForCell<T>(cell: string, work: () => T): T {
  return inContext(cell, work);
}

function inContext<T>(cell: string | undefined, work: () => T): T {
  const before = current;
  current = cell;
  try {
    return work();
  } finally {
    current = before;
  }
}

/** After code was cut off: its `finally` blocks did not run. */
export function forgetContext(): void {
  current = undefined;
}

type Scheduler = (callback: (...args: unknown[]) => unknown, ...args: unknown[]) => unknown;

export function trackContext(): void {
  promiseHooks.createHook({
    init(promise) {
      if (current !== undefined) cellOf.set(promise, current);
    },
    before(promise) {
      current = cellOf.get(promise);
    },
    after() {
      current = undefined;
    },
  });
  const globals = globalThis as unknown as Record<string, Scheduler>;
  for (const name of ["setTimeout", "setInterval", "setImmediate", "queueMicrotask"]) {
    const schedule = globals[name]!;
    const tracked: Scheduler = (callback, ...args) => {
      const cell = current;
      if (cell === undefined || typeof callback !== "function") return schedule(callback, ...args);
      return schedule((...values) => inContext(cell, () => callback(...values)), ...args);
    };
    // util.promisify finds its variant as a property.
    globals[name] = Object.defineProperties(tracked, Object.getOwnPropertyDescriptors(schedule));
  }
}
