/** The way out of the user process: events in order, and everything printed as stream events of the cell that caused it. */
import { writeSync } from "node:fs";
import { StringDecoder } from "node:string_decoder";
import { EVENT_FD, flushMark, type UserEvent } from "../channel.js";
import { currentCell } from "./context.js";

const pause = new Int32Array(new SharedArrayBuffer(4));

function writeAll(fd: number, bytes: Buffer): void {
  for (let at = 0; at < bytes.length;) {
    try {
      at += writeSync(fd, bytes, at);
    } catch (error) {
      // The kernel reads slower than we print: wait for it, as a terminal would make us wait.
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
      Atomics.wait(pause, 0, 0, 1);
    }
  }
}

export function sendEvent(event: UserEvent): void {
  writeAll(EVENT_FD, Buffer.from(`${JSON.stringify(event)}\n`));
}

/** Marks the end of a cell in the pipes that native code and child processes print to. */
export function markNativeOutput(cell: string): void {
  for (const fd of [1, 2]) {
    try {
      writeAll(fd, Buffer.from(flushMark(cell)));
    } catch {
      // A cell may have closed the descriptor; then there is nothing left to wait for, and the kernel's wait is bounded.
    }
  }
}

/** TensorFlow.js advertises its native package on stderr when first used. It is no message of the user's program. */
function withoutBanner(text: string): string {
  return text.replace(/\n?=+\nHi, looks like you are running TensorFlow\.js in Node\.js\.[\s\S]*?\n=+\n?\s*/g, "");
}

/** Replaces `process.stdout.write` and `process.stderr.write`, which `console` uses too. */
export function captureStreams(): void {
  for (const name of ["stdout", "stderr"] as const) {
    const decoder = new StringDecoder("utf8");
    const write = (
      chunk: string | Uint8Array,
      encoding?: BufferEncoding | ((error?: Error) => void),
      callback?: (error?: Error) => void,
    ): boolean => {
      const whenDone = typeof encoding === "function" ? encoding : callback;
      let text =
        typeof chunk === "string"
          ? typeof encoding === "string" && encoding !== "utf8" && encoding !== "utf-8"
            ? Buffer.from(chunk, encoding).toString("utf8")
            : chunk
          : decoder.write(Buffer.from(chunk));
      if (name === "stderr") text = withoutBanner(text);
      if (text !== "") sendEvent({ type: "stream", cell: currentCell(), name, text });
      if (whenDone !== undefined) process.nextTick(whenDone);
      return true;
    };
    process[name].write = write as typeof process.stdout.write;
  }
}
