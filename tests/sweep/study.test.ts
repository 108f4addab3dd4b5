import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { TrialPruned, TrialStopped } from "../../src/sweep/engine.js";
import { type SweepInput, openSweep, sweep } from "../../src/sweep/sweep.js";
import type { SweepTrial } from "../../src/sweep/study.js";

let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), "preflab-study-"))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const parabola = (trial: SweepTrial): number => (Number(trial.params["x"]) - 3) ** 2;
const GRID = { x: [0, 1, 2, 3, 4, 5] };
const small = (more: Partial<SweepInput> = {}): SweepInput => ({
  ...{ objective: parabola, grid: GRID, goal: "minimize", metric: "distance", output_dir: folder, progress: false },
  ...more,
});

async function codeOf(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  return `${String((error as { code?: unknown }).code)}: ${(error as Error).message}`;
}

describe("a sweep", () => {
  test("tries the grid and ranks it", async () => {
    const result = await sweep(small());
    expect(result.best).toMatchObject({ number: 3, value: 0, params: { x: 3 } });
    expect(result.rows().map((row) => row["trial"])).toEqual([3, 2, 4, 1, 5, 0]);
    expect(result.to_csv().split("\r\n").slice(0, 2)).toEqual(["trial,x,state,distance", "3,3,complete,0"]);
    expect(result.summary()[0]).toBe("6 of 6 trials complete; minimize distance.");
  });

  test("one trial's error or NaN ends that trial alone, with its reason in the table", async () => {
    const objective = (trial: SweepTrial): number => {
      if (trial.params["x"] === 1) throw new Error("no such thing");
      return trial.params["x"] === 2 ? NaN : parabola(trial);
    };
    const result = await sweep(small({ objective }));
    expect(result.trials.map(({ state }) => state)).toEqual(["complete", "fail", "fail", "complete", "complete", "complete"]);
    expect(result.trials[1]!.reason).toBe("no such thing");
    expect(result.trials[2]!.reason).toBe("trial 2: its value must be a finite number, got NaN at the end");
    expect(result.rows().at(-1)).toMatchObject({ trial: 2, state: "fail", reason: result.trials[2]!.reason });
  });

  test("goes on where it was, and refuses another sweep in its folder", async () => {
    let calls = 0;
    const objective = (trial: SweepTrial): number => {
      calls++;
      return parabola(trial);
    };
    await sweep(small({ objective, budget: { trials: 2 } }));
    expect(calls).toBe(2);
    const result = await sweep(small({ objective }));
    expect([calls, result.trials.length]).toEqual([6, 6]);
    expect(await codeOf(sweep(small({ grid: { x: [1] } })))).toMatch(/^sweep_changed: .*another dimensions/);
  });

  test("the signal gives the running trial back", async () => {
    const abort = new AbortController();
    const objective = (trial: SweepTrial, signal: AbortSignal): number => {
      if (trial.params["x"] === 2 && trial.attempt === 1 && !signal.aborted) {
        abort.abort();
        throw new TrialStopped();
      }
      return parabola(trial);
    };
    expect(await codeOf(sweep(small({ objective, signal: abort.signal })))).toMatch(/^interrupted: /);
    const result = await sweep(small());
    expect(result.trials.map(({ state, attempt }) => [state, attempt])).toEqual(Array.from({ length: 6 }, () => ["complete", 1]));
  });

  test("seeds: every setting once with each, ranked by the mean", async () => {
    // Alone, x = 2 with seed 1 is the best trial; its mean is not.
    const values: Record<string, number> = { "1 1": 2, "1 2": 2, "2 1": 0, "2 2": 9 };
    const objective = (trial: SweepTrial): number => values[`${Number(trial.params["x"])} ${Number(trial.params["seed"])}`]!;
    const result = await sweep(small({ objective, grid: { x: [1, 2] }, seeds: [1, 2] }));
    expect(result.settings().map(({ key, mean }) => [key, mean])).toEqual([
      ['{"x":1}', 2],
      ['{"x":2}', 4.5],
    ]);
    expect(result.best!.number).toBe(0);
  });

  test("importance is the share of variance that a dimension explains", async () => {
    const objective = (trial: SweepTrial): number => Number(trial.params["x"]);
    const result = await sweep(small({ objective, grid: { x: [0, 1], y: ["a", "b", "c"] } }));
    // y explains nothing; x everything.
    expect(result.importance()).toEqual([
      { name: "x", share: 1 },
      { name: "y", share: 0 },
    ]);
  });

  test("a search without end needs a budget; the budget's seconds end it", async () => {
    const space = { x: { uniform: [0, 5] as const } };
    expect(await codeOf(sweep(small({ grid: undefined, space })))).toMatch(/^sweep_budget: /);
    const result = await sweep(small({ grid: undefined, space, budget: { seconds: 0.2 } }));
    expect(result.trials.length).toBeGreaterThan(1);
  });
});

describe("pruning", () => {
  const climbing =
    (steps: number) =>
    (trial: SweepTrial): number => {
      for (let step = 1; step <= steps; step++) {
        trial.report(step, Number(trial.params["x"]) * step);
        const reason = trial.should_prune();
        if (reason !== undefined) throw new TrialPruned(reason);
      }
      return Number(trial.params["x"]) * steps;
    };

  test("asha: at steps 1, 2, 4 the best half goes on", async () => {
    const result = await sweep(
      small({ objective: climbing(4), grid: { x: [4, 1, 2, 3, 5] }, goal: "maximize", pruner: { type: "asha", reduction_factor: 2 } }),
    );
    // 1: second of two, one goes on. 2: second of three, one goes on. 3: second of four, two go on; at step 2 second of two. 5: first.
    expect(result.trials.map(({ state }) => state)).toEqual(["complete", "pruned", "pruned", "pruned", "complete"]);
    expect(result.trials[3]!.reason).toBe("asha: at step 2 its value is number 2 of 2, and the best one goes on");
    expect(result.trials[3]!.value).toBe(6);
  });

  test("median: behind half of the complete trials at the same step", async () => {
    const result = await sweep(
      small({ objective: climbing(3), grid: { x: [1, 2, 3, 1.5, 2.5] }, goal: "maximize", pruner: { type: "median", startup_trials: 3 } }),
    );
    expect(result.trials.map(({ state }) => state)).toEqual(["complete", "complete", "complete", "pruned", "complete"]);
    expect(result.trials[3]!.reason).toBe("median: at step 1 its best value 1.500 is behind the median 2.000");
  });
});

describe("ask and tell", () => {
  test("an outside optimiser's settings come before the grid's", async () => {
    const { study } = await openSweep(small());
    try {
      const trial = study.ask({ x: 2.5 }) as SweepTrial;
      trial.report(1, 7);
      trial.tell(0.25);
      expect(() => trial.tell(1)).toThrow("it must be told of once");
      expect(study.best).toMatchObject({ number: 0, value: 0.25, params: { x: 2.5 } });
      expect(study.ledger.reports(0)).toEqual([[1, 7]]);
    } finally {
      study.close();
    }
  });

  test("who was silent for too long loses the trial, and can write no more", async () => {
    const [slow, quick] = [await openSweep(small({ lease_seconds: 0.05 })), await openSweep(small({ lease_seconds: 0.05 }))];
    try {
      const first = slow.study.ask() as SweepTrial;
      // Its heart cannot beat while the thread is busy.
      const until = performance.now() + 120;
      while (performance.now() < until);
      const second = quick.study.ask() as SweepTrial;
      expect([second.number, second.attempt]).toEqual([first.number, 2]);
      expect(() => first.report(1, 1)).toThrow(/another one has it now/);
      expect(() => first.tell(5)).toThrow(/another one has it now/);
      second.tell(1);
      expect(quick.study.ledger.trial(first.number)).toMatchObject({ state: "complete", value: 1 });
    } finally {
      slow.study.close();
      quick.study.close();
    }
  });
});

/** Workers from the build, as processes that can be killed. Each trial appends its number to `calls` when it is done, before it is told of. */
const WORKER = `
  import { appendFileSync } from "node:fs";
  const { sweep } = await import(process.argv[1]);
  const [folder, pause, trials] = process.argv.slice(2);
  await sweep({
    objective: async (trial) => {
      appendFileSync(folder + "/begun", trial.number + "\\n");
      await new Promise((resolve) => setTimeout(resolve, Number(pause)));
      return trial.params.x;
    },
    grid: { x: Array.from({ length: Number(trials) }, (_, i) => i) },
    goal: "maximize", metric: "x", output_dir: folder, progress: false,
  });
`;

function startWorker(pause: number, trials: number): ChildProcess {
  const build = pathToFileURL(join(import.meta.dirname, "../../dist/src/sweep/sweep.js")).href;
  return spawn(process.execPath, ["--input-type=module", "-e", WORKER, build, folder, String(pause), String(trials)], {
    stdio: ["ignore", "ignore", "inherit"],
  });
}

const ended = (child: ChildProcess): Promise<number | null> => new Promise((resolve) => child.on("exit", resolve));

describe("durability", () => {
  test("kill -9 again and again: no finished trial is repeated, none is lost", { timeout: 60_000 }, async () => {
    const trials = 40;
    const look = (): Promise<{ number: number; state: string; attempt: number; ended_ms: number | null }[]> =>
      openSweep({
        ...{
          objective: parabola,
          grid: { x: Array.from({ length: trials }, (_, i) => i) },
          goal: "maximize",
          metric: "x",
          output_dir: folder,
        },
      }).then(({ study }) => {
        const all = study.trials();
        study.close();
        return [...all];
      });
    let finished: { number: number; ended_ms: number | null }[] = [];
    for (let round = 0; round < 4; round++) {
      const worker = startWorker(20, trials);
      const over = ended(worker);
      await new Promise((resolve) => setTimeout(resolve, 900 + 130 * round));
      worker.kill("SIGKILL");
      await over;
      const now = await look();
      // What was finished stays as it was.
      for (const { number, ended_ms } of finished) expect(now[number]).toMatchObject({ state: "complete", ended_ms });
      finished = now.filter(({ state }) => state === "complete");
    }
    expect(await ended(startWorker(1, trials))).toBe(0);
    const all = await look();
    expect(all.map(({ number }) => number)).toEqual(Array.from({ length: trials }, (_, i) => i));
    expect(all.every(({ state }) => state === "complete")).toBe(true);
    for (const { number, ended_ms } of finished) expect(all[number]!.ended_ms).toBe(ended_ms);
  });

  test("two processes share the trials, each trial is run once", { timeout: 60_000 }, async () => {
    const workers = [startWorker(15, 60), startWorker(15, 60)];
    expect(await Promise.all(workers.map(ended))).toEqual([0, 0]);
    const { readFileSync } = await import("node:fs");
    const begun = readFileSync(join(folder, "begun"), "utf8").trim().split("\n").map(Number);
    expect(begun.sort((a, b) => a - b)).toEqual(Array.from({ length: 60 }, (_, i) => i));
  });
});
