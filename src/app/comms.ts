/**
 * Comms: named two-way channels between code in a notebook and its front end, over the sockets that the notebook has already. No port,
 * so they work in JupyterHub, Colab and VS Code. Either side may open one. Messages arrive while a cell runs, whenever
 * the cell's code awaits.
 * https://jupyter-client.readthedocs.io/en/stable/messaging.html#custom-messages
 */
import { ConfigError } from "../errors.js";

/** Anything that JSON can hold, as an object. */
export type CommData = Readonly<Record<string, unknown>>;

export interface CommMessage {
  data: CommData;
  metadata: CommData;
  /** Raw bytes beside the JSON. */
  buffers: Uint8Array[];
}

/** What goes with a message beside its data. */
export interface CommExtras {
  metadata?: CommData;
  buffers?: readonly Uint8Array[];
}

/** One open channel. */
export interface Comm {
  readonly comm_id: string;
  readonly target_name: string;
  readonly closed: boolean;
  /** @throws ConfigError `comm_closed`, or `comm_data` for what JSON cannot hold */
  send(data: CommData, extras?: CommExtras): void;
  /** Called for every message of the front end, in order. Returns a function that ends the listening. */
  onMessage(listener: (message: CommMessage) => void | Promise<void>): () => void;
  /** Called once, when the front end closes the comm or is gone. */
  onClose(listener: (message: CommMessage) => void | Promise<void>): () => void;
  /** Tells the front end; a second call does nothing. */
  close(data?: CommData): void;
}

/** Called when the front end opens a comm; listeners must be added before it returns or awaits, or the first messages are missed. */
export type CommTarget = (comm: Comm, opening: CommMessage) => void | Promise<void>;

/** What a kernel offers for comms. */
export interface CommHost {
  register(target_name: string, target: CommTarget): () => void;
  open(target_name: string, data: CommData, extras: CommExtras): Comm;
}

/** The kernel that runs this code, by the symbol of src/notebook/display.ts. */
function commHost(where: string): CommHost {
  const host = (globalThis as Record<symbol, { comms?: CommHost } | undefined>)[Symbol.for("preflab.notebookHost")]?.comms;
  if (host === undefined)
    throw new ConfigError(
      "comm_unavailable",
      `${where}: must run in a cell of Preflab's kernel, got a plain program; serve it over HTTP instead`,
    );
  return host;
}

/** Whether this code runs in a notebook whose kernel has comms. */
export function hasComms(): boolean {
  return (globalThis as Record<symbol, { comms?: CommHost } | undefined>)[Symbol.for("preflab.notebookHost")]?.comms !== undefined;
}

function requireName(where: string, target_name: unknown): void {
  if (typeof target_name !== "string" || target_name === "")
    throw new ConfigError(
      "comm_target",
      `${where}: target_name must be a text that is not empty, got ${JSON.stringify(target_name) ?? "undefined"}; name the target`,
    );
}

/**
 * Lets front ends open comms of this name. A later registration of the same name replaces it for new comms; what it prints and shows
 * belongs to the cell that registered it.
 * @returns a function that removes the target again; comms already open stay
 * @throws ConfigError `comm_unavailable` outside a notebook, `comm_target`
 */
export function registerCommTarget(target_name: string, target: CommTarget): () => void {
  requireName("registerCommTarget", target_name);
  return commHost("registerCommTarget").register(target_name, target);
}

/**
 * Opens a comm to a target that the front end knows, as `jupyter.widget`.
 * @throws ConfigError `comm_unavailable` outside a notebook, `comm_target`, `comm_data`
 */
export function openComm(target_name: string, data: CommData = {}, extras: CommExtras = {}): Comm {
  requireName("openComm", target_name);
  return commHost("openComm").open(target_name, data, extras);
}
