/** What ctrl-C did. */
export interface Interrupt {
  readonly happened: boolean;
  /** Gives ctrl-C its usual meaning back. */
  release(): void;
}

/** Exit code of a process that ctrl-C ended, as shells count it. */
export const EXIT_INTERRUPTED = 130;

/** The first ctrl-C calls `stop`, which lets the work under way end well; the second ends the process at once. */
export function onInterrupt(stop: () => void, message: string): Interrupt {
  let happened = false;
  const handle = (): void => {
    if (happened) process.exit(EXIT_INTERRUPTED);
    happened = true;
    console.error(message);
    stop();
  };
  process.on("SIGINT", handle);
  return {
    get happened() {
      return happened;
    },
    release: () => void process.off("SIGINT", handle),
  };
}
