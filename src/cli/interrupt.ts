/** What ctrl-C or a polite kill did. */
export interface Interrupt {
  /** As shells count a process that a signal ended: 130 or 143; undefined when there was none. */
  readonly exitCode: number | undefined;
  /** Gives the signals their usual meaning back. */
  release(): void;
}

/** Exit codes by signal. */
const EXIT_CODES = { SIGINT: 130, SIGTERM: 143 } as const;
type Signal = keyof typeof EXIT_CODES;

/** The first SIGINT or SIGTERM calls `stop`, which lets the work under way end well; the second ends the process at once. */
export function onInterrupt(stop: () => void, message: string): Interrupt {
  let exitCode: number | undefined;
  const handle = (signal: Signal): void => {
    if (exitCode !== undefined) process.exit(EXIT_CODES[signal]);
    exitCode = EXIT_CODES[signal];
    console.error(message);
    stop();
  };
  const signals = Object.keys(EXIT_CODES) as Signal[];
  for (const signal of signals) process.on(signal, handle);
  return {
    get exitCode() {
      return exitCode;
    },
    release: () => signals.forEach((signal) => process.off(signal, handle)),
  };
}
