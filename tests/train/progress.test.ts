import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ProgressLine } from "../../src/train/loop/progress.js";
import type { TrainerState } from "../../src/train/index.js";

let written: string[];
let now = 0;
beforeEach(() => {
  written = [];
  vi.spyOn(process.stdout, "write").mockImplementation((text) => written.push(String(text)) > 0);
  vi.spyOn(performance, "now").mockImplementation(() => now);
});
afterEach(() => vi.restoreAllMocks());

const at = (global_step: number): TrainerState => ({ global_step, max_steps: 4 }) as TrainerState;

/** The events of two steps, ten seconds each, after a reference of a minute. */
function play(line: ProgressLine): void {
  now = 0;
  line.on_train_begin();
  line.on_reference(1, 2);
  now = 60_000;
  line.on_reference(2, 2);
  now = 70_000;
  line.on_step_end(at(1));
  now = 80_000;
  line.on_step_end(at(2));
  line.on_log(at(2), { loss: 0.69, "rewards/margins": 0, "rewards/accuracies": 0.5, learning_rate: 5e-7, grad_norm: 3, step: 2 });
  line.on_evaluate(at(2), { eval_loss: 0.7, "eval_rewards/accuracies": 0.25 });
  line.on_save(at(2), "out/checkpoint-2");
  line.on_log(at(2), { train_loss: 0.7 });
}

describe("the progress line", () => {
  it("into a file or pipe: a line an event, with time spent and left", () => {
    play(new ProgressLine());
    expect(written).toEqual([
      "reference log-probs 2/2\n",
      "step 2/4  00:20 < 00:20  loss 0.6900  rewards/margins 0.0000  rewards/accuracies 0.5000  learning_rate 5.00e-7\n",
      "step 2  eval_loss 0.7000  eval_rewards/accuracies 0.2500\n",
      "saved out/checkpoint-2\n",
    ]);
  });

  it("on a terminal the line is rewritten until something is to stay", () => {
    const before = Object.getOwnPropertyDescriptor(process.stdout, "isTTY");
    Object.defineProperty(process.stdout, "isTTY", { value: true, configurable: true });
    try {
      play(new ProgressLine());
    } finally {
      if (before === undefined) delete (process.stdout as { isTTY?: boolean }).isTTY;
      else Object.defineProperty(process.stdout, "isTTY", before);
    }
    expect(written.slice(0, 4)).toEqual([
      "\r\x1b[Kreference log-probs 1/2",
      "\r\x1b[Kreference log-probs 2/2\n",
      "\r\x1b[Kstep 1/4  00:10 < 00:30",
      "\r\x1b[Kstep 2/4  00:20 < 00:20",
    ]);
    expect(written.slice(4).every((text) => text.startsWith("\r\x1b[K") && text.endsWith("\n"))).toBe(true);
  });

  it("long times have hours", () => {
    const line = new ProgressLine();
    now = 0;
    line.on_train_begin();
    now = 3_599_600;
    line.on_log(at(1), { loss: 1 });
    expect(written.at(-1)).toContain("step 1/4  1:00:00 < 2:59:59  loss 1.0000");
  });
});
