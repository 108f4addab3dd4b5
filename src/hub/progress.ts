/** How a transfer is shown. */
import type { RepositoryOptions, TransferListener, TransferProgress } from "../data/repository.js";
import { clock } from "../train/loop/progress.js";
import { formatBytes } from "./failures.js";

/** Where there is no terminal (a notebook, a log), at most one line in so many seconds. */
const LINE_INTERVAL_S = 5;
const REDRAW_INTERVAL_S = 0.1;

/** Sums up files into one transfer and tells the listener, not too often. */
export class TransferMeter {
  readonly #listener: TransferListener | undefined;
  readonly #about: Pick<TransferProgress, "repository" | "direction" | "total_bytes">;
  readonly #started = performance.now();
  /** Bytes of finished files. */
  #before = 0;
  #file = "";
  #done = 0;
  /** Bytes that were there before this transfer; they say nothing about the rate. */
  #found = 0;
  #lastTold = -Infinity;

  constructor(progress: RepositoryOptions["progress"], about: Pick<TransferProgress, "repository" | "direction" | "total_bytes">) {
    this.#listener = progress === false ? undefined : (progress ?? printProgress());
    this.#about = about;
  }

  /** Begins a file. @param found bytes of it that are there already */
  begin(file: string, found = 0): void {
    this.#file = file;
    this.#found += found;
    this.#done = this.#before + found;
  }

  /** @param bytes of the present file that are there */
  set(bytes: number): void {
    this.#done = this.#before + bytes;
    if (performance.now() - this.#lastTold >= REDRAW_INTERVAL_S * 1000) this.#tell(false);
  }

  /** The present file is there. */
  end(size: number): void {
    this.#before += size;
    this.#done = this.#before;
  }

  finish(): void {
    this.#tell(true);
  }

  #tell(finished: boolean): void {
    const elapsed_seconds = (performance.now() - this.#started) / 1000;
    const moved = this.#done - this.#found;
    const left = this.#about.total_bytes - this.#done;
    const remaining_seconds = moved > 0 ? (elapsed_seconds / moved) * left : undefined;
    this.#lastTold = performance.now();
    this.#listener?.({ ...this.#about, file: this.#file, done_bytes: this.#done, elapsed_seconds, remaining_seconds, finished });
  }
}

/** Prints to stdout: on a terminal one line that is rewritten, elsewhere a line from time to time. */
function printProgress(): TransferListener {
  const terminal = process.stdout.isTTY === true;
  let lastLine = 0;
  return (progress) => {
    const text = describeProgress(progress);
    if (terminal) process.stdout.write(`\r\x1b[K${text}${progress.finished ? "\n" : ""}`);
    else if (progress.finished || progress.elapsed_seconds - lastLine >= LINE_INTERVAL_S) {
      lastLine = progress.elapsed_seconds;
      process.stdout.write(`${text}\n`);
    }
  };
}

/** `Qwen/Qwen2-0.5B-Instruct  model.safetensors  210.4 MB of 999.5 MB  00:12 < 00:45` */
export function describeProgress({
  repository,
  direction,
  file,
  done_bytes,
  total_bytes,
  elapsed_seconds,
  remaining_seconds,
  finished,
}: TransferProgress): string {
  const rate = elapsed_seconds > 0 ? `, ${formatBytes(total_bytes / elapsed_seconds)}/s` : "";
  if (finished)
    return `${repository}  ${direction}ed ${formatBytes(total_bytes)} in ${clock(elapsed_seconds)}${direction === "download" ? rate : ""}`;
  const left = remaining_seconds === undefined ? "" : ` < ${clock(remaining_seconds)}`;
  return `${repository}  ${file}  ${formatBytes(done_bytes)} of ${formatBytes(total_bytes)}  ${clock(elapsed_seconds)}${left}`;
}
