/**
 * Comms are Jupyter's channels between code in a kernel and a front end: no port, and they go on while other cells run. The kernel offers
 * them at `Symbol.for("preflab.notebookHost")`, the place where kernel and library meet without importing each other.
 *
 * A kernel owes: messages of one comm arrive in order; `onMessage` is called on the main thread also while a cell awaits something; a comm
 * lives until one side closes it or the user process ends, whichever cell has opened it.
 */

/** One open comm. */
export interface Comm {
  readonly comm_id: string;
  /** Publishes `comm_msg` with this data. */
  send(data: Readonly<Record<string, unknown>>): void;
  /** Called with each `comm_msg` that the front end sends. */
  onMessage(listener: (message: { readonly data: unknown }) => void): unknown;
}

/** What a kernel offers, as `comms` of its host. */
export interface CommHost {
  /** Publishes `comm_open`. */
  open(target_name: string, data: Readonly<Record<string, unknown>>, extras: { metadata: Readonly<Record<string, unknown>> }): Comm;
}

const hostSymbol = Symbol.for("preflab.notebookHost");

/** The running kernel's comms; undefined in a plain program and in kernels without. */
export function commHost(): CommHost | undefined {
  return (globalThis as { [hostSymbol]?: { comms?: CommHost } })[hostSymbol]?.comms;
}
