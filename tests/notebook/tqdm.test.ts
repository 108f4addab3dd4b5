import { afterEach, describe, expect, test, vi } from "vitest";
import type { Comm, CommHost } from "../../src/app/comms.js";
import { setNotebookHost } from "../../src/notebook/display.js";
import { ProgressBar, tqdm } from "../../src/notebook/index.js";
import type { MimeBundle } from "../../src/notebook/mime.js";

afterEach(() => {
  setNotebookHost(undefined);
  vi.useRealTimers();
});

interface Shown {
  bundle: MimeBundle;
  display_id: string | undefined;
  update: boolean;
}

/** A front end that takes displays, and with `comms` widgets too. */
function frontEnd(comms: boolean): { shown: Shown[]; sent: Record<string, unknown>[]; opened: unknown[]; closeComm: () => void } {
  const shown: Shown[] = [];
  const sent: Record<string, unknown>[] = [];
  const opened: unknown[] = [];
  const comm = {
    comm_id: "model",
    target_name: "jupyter.widget",
    closed: false,
    send: (data: Record<string, unknown>) => sent.push(data),
    onMessage: () => () => undefined,
    onClose: () => () => undefined,
    close: () => (comm.closed = true),
  };
  const host: CommHost = {
    register: () => () => undefined,
    open: (target_name, data, extras) => {
      opened.push([target_name, data, extras]);
      return comm as unknown as Comm;
    },
  };
  setNotebookHost({
    display: (bundle, { display_id, update }) => shown.push({ bundle, display_id, update }),
    clearOutput: () => undefined,
    input: () => Promise.resolve(""),
    waitFor: () => undefined,
    interruptSignal: () => new AbortController().signal,
    comms: (comms ? host : undefined) as never,
  });
  return { shown, sent, opened, closeComm: () => (comm.closed = true) };
}

describe("tqdm", () => {
  test("without widgets one display is updated in place, and its last state says the whole", () => {
    vi.useFakeTimers();
    const { shown } = frontEnd(false);
    const seen: number[] = [];
    for (const item of tqdm([10, 20, 30], { desc: "pairs" })) {
      seen.push(item);
      vi.advanceTimersByTime(2_000);
    }
    expect(seen).toEqual([10, 20, 30]);
    expect(shown.map(({ update }) => update)).toEqual([false, true, true, true, true]);
    expect(new Set(shown.map(({ display_id }) => display_id)).size).toBe(1);
    expect(shown[2]!.bundle["text/plain"]).toBe("[################--------] pairs: 2 of 3, 00:04 gone, 00:02 left, 2.00 s/it");
    expect(shown.at(-1)!.bundle["text/plain"]).toBe("[########################] pairs: 3 of 3, 00:06 gone, 2.00 s/it");
    expect(shown.at(-1)!.bundle["text/html"]).toContain('role="progressbar"');
  });

  test("changes in quick succession are shown at most every 100 ms", () => {
    vi.useFakeTimers();
    const { shown } = frontEnd(false);
    for (const _ of tqdm(Array.from({ length: 1000 }))) vi.advanceTimersByTime(1);
    expect(shown.length).toBeGreaterThan(8);
    expect(shown.length).toBeLessThan(14);
  });

  test("a loop within a loop stands below it; the next one takes its place", () => {
    vi.useFakeTimers();
    const { shown } = frontEnd(false);
    for (const epoch of tqdm([1, 2], { desc: "epoch" }))
      for (const _ of tqdm("ab", { total: 2, desc: `batch ${epoch}` })) vi.advanceTimersByTime(1_000);
    const lines = shown.map(({ bundle }) => String(bundle["text/plain"]).split("\n"));
    expect(Math.max(...lines.map((text) => text.length))).toBe(2);
    expect(lines.at(-1)![1]).toContain("  [########################] batch 2: 2 of 2");
    expect(new Set(shown.map(({ display_id }) => display_id)).size).toBe(1);
  });

  test("with widgets each change goes over the comm, and the saved state needs no widget", () => {
    vi.useFakeTimers();
    const { shown, sent, opened } = frontEnd(true);
    for (const _ of tqdm([1, 2])) vi.advanceTimersByTime(1_000);
    expect(opened).toHaveLength(1);
    expect(opened[0]).toMatchObject([
      "jupyter.widget",
      { state: { _model_name: "HTMLModel", _view_name: "HTMLView" }, buffer_paths: [] },
      { metadata: { version: "2.1.0" } },
    ]);
    expect(shown.map(({ update }) => update)).toEqual([false, true]);
    expect(shown[0]!.bundle["application/vnd.jupyter.widget-view+json"]).toEqual({ version_major: 2, version_minor: 0, model_id: "model" });
    expect(Object.keys(shown[1]!.bundle)).toEqual(["text/html", "text/plain"]);
    expect(sent).toHaveLength(3);
    expect(sent[0]).toMatchObject({ method: "update", buffer_paths: [] });
    expect(String((sent[0]!.state as { value: string }).value)).toContain("1 of 2");
  });

  test("a front end that closes the comm gets updates of the display instead", () => {
    vi.useFakeTimers();
    const { shown, sent, closeComm } = frontEnd(true);
    const bar = new ProgressBar({ total: 3 });
    closeComm();
    for (let step = 0; step < 3; step++) {
      vi.advanceTimersByTime(1_000);
      bar.update();
    }
    bar.close();
    bar.close();
    expect(sent).toEqual([]);
    expect(shown.map(({ update }) => update)).toEqual([false, true, true, true, true]);
  });

  test("leaving the loop early ends the bar; asynchronous items; values behind the count", async () => {
    const { shown } = frontEnd(false);
    for (const item of tqdm([1, 2, 3])) if (item === 2) break;
    expect(shown.at(-1)!.bundle["text/plain"]).toContain("1 of 3");
    async function* items(): AsyncGenerator<number> {
      yield 1;
      yield 2;
    }
    const seen: number[] = [];
    for await (const item of tqdm(items())) seen.push(item);
    expect(seen).toEqual([1, 2]);
    expect(String(shown.at(-1)!.bundle["text/plain"])).toMatch(/^2 it, /);
    const bar = new ProgressBar({ total: 2 });
    bar.set_postfix({ loss: 0.693147, step: 3 });
    bar.close();
    expect(shown.at(-1)!.bundle["text/plain"]).toContain("loss 0.6931, step 3");
    expect(() => [...tqdm(items())]).toThrow(expect.objectContaining({ code: "progress_async" }));
  });

  test("a plain program gets the end as one line; disabled bars say nothing", () => {
    const write = vi.spyOn(process.stdout, "write").mockReturnValue(true);
    try {
      for (const _ of tqdm([1, 2], { desc: "quiet", disable: true }));
      expect(write).not.toHaveBeenCalled();
      for (const _ of tqdm([1, 2], { desc: "plain" }));
      expect(write.mock.calls.map(([text]) => String(text)).join("")).toMatch(/plain: 2 of 2/);
    } finally {
      write.mockRestore();
    }
  });

  test("a total that is none is refused", () => {
    expect(() => new ProgressBar({ total: -1 })).toThrow("tqdm: total must be a number >= 0, got -1; leave it out if it is not known");
  });
});
