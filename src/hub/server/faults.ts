/** Faults that tests order, to see what clients do: a hub in use has none. */

/** What happens to the next `times` requests that match. */
export interface Fault {
  /** Looked for in the decoded path with its query. */
  readonly match: RegExp;
  readonly method?: string;
  times: number;
  /** Answer with this status, `answer` as the body… */
  readonly status?: number;
  readonly answer?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** …or break the connection after so many bytes of a file… */
  readonly dropAfter?: number;
  /** …or before anything is answered, when so many bytes of the request's body have come… */
  readonly dropRequestAfter?: number;
  /** …or carry the request out and break the connection instead of answering… */
  readonly dropAnswer?: boolean;
  /** …or send another body, as if it were the file… */
  readonly body?: Uint8Array;
  /** …or say nothing at all ("request"), or nothing after so many bytes of a file. */
  readonly silentAfter?: number | "request";
}

export class FaultList {
  readonly #faults: Fault[] = [];

  /** @param fault.times default 1 */
  order(fault: Omit<Fault, "times"> & { times?: number }): void {
    this.#faults.push({ times: 1, ...fault });
  }

  /** The first that is left for a request; it is used up by that. */
  take(method: string, path: string): Fault | undefined {
    const fault = this.#faults.find((each) => each.times > 0 && each.match.test(path) && (each.method ?? method) === method);
    if (fault !== undefined) fault.times--;
    return fault;
  }
}
