import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type SweepInput, type SweepTrial, TrialPruned, bullmqEngine, serveBullmq, sweep } from "../../src/sweep/index.js";
import { HINT, ROOT, RedisServer, type Run, freePort, hasRedis, killAll, sleep, start } from "./servers.js";

let folder: string;
let redis: RedisServer;
const runs: Run[] = [];
const keep = (run: Run): Run => (runs.push(run), run);
beforeAll(async () => {
  if (!hasRedis) return;
  folder = mkdtempSync(join(tmpdir(), "preflab-bullmq-"));
  redis = new RedisServer(join(folder, "redis"), await freePort());
  await redis.start();
});
afterEach(async () => killAll(runs));
afterAll(async () => {
  if (!hasRedis) return;
  await redis.kill();
  rmSync(folder, { recursive: true, force: true });
});

/** In this process: functions as trials. */
describe.skipIf(!hasRedis)(`functions on workers ${HINT}`, () => {
  const input = (name: string, objective: (trial: SweepTrial) => Promise<number>, more: Partial<SweepInput> = {}): SweepInput => ({
    ...{ objective, grid: { x: [1, 2, 3, 4, 5, 6] }, metric: "m", output_dir: join(folder, name), progress: false, lease_seconds: 3 },
    ...more,
  });
  async function together(
    queue: string,
    sent: SweepInput,
    workers: number,
    limits: { max_trials_at_once?: number; max_trials_per_minute?: number; retries?: number } = {},
  ) {
    const leave = new AbortController();
    const serve = { redis: redis.url, queue, objective: sent.objective!, lease_seconds: 3, signal: leave.signal };
    const served = Array.from({ length: workers }, () => serveBullmq(serve));
    try {
      return await sweep({ ...sent, engine: bullmqEngine({ redis: redis.url, queue, ...limits }) });
    } finally {
      leave.abort();
      await Promise.all(served);
    }
  }

  test("no more trials at once than are allowed, and all are run once", async () => {
    const begun: number[] = [];
    let [now, most] = [0, 0];
    const objective = async ({ number, params }: SweepTrial): Promise<number> => {
      begun.push(number);
      most = Math.max(most, ++now);
      await sleep(30);
      now--;
      return Number(params["x"]);
    };
    const result = await together("limits", input("limits", objective), 4, { max_trials_at_once: 2 });
    expect(most).toBe(2);
    expect(begun.sort()).toEqual([0, 1, 2, 3, 4, 5]);
    expect(result.trials.map(({ value }) => value)).toEqual([1, 2, 3, 4, 5, 6]);
  });

  test("no more trials a minute than are allowed", async () => {
    const stop = new AbortController();
    let begun = 0;
    const objective = async (): Promise<number> => Promise.resolve(++begun);
    setTimeout(() => stop.abort(), 3000);
    const stopped = together("rate", input("rate", objective, { signal: stop.signal }), 2, { max_trials_per_minute: 3 });
    await expect(stopped).rejects.toMatchObject({ code: "interrupted" });
    expect(begun).toBe(3);
  });

  test("an error of the machine is tried again, as often as is said; one of the trial is not", async () => {
    const tries = new Map<number, number>();
    const objective = async ({ number }: SweepTrial): Promise<number> => {
      const attempt = (tries.get(number) ?? 0) + 1;
      tries.set(number, attempt);
      if (number === 0 && attempt < 2) throw new Error("ENOSPC: no space left on device");
      if (number === 1) throw new Error("the machine is broken");
      if (number === 2) throw new TrialPruned("poor");
      return Promise.resolve(Number.NaN * (number === 3 ? 1 : 0) || number);
    };
    const result = await together("retries", input("retries", objective), 1, { retries: 1 });
    expect([0, 1, 2].map((number) => tries.get(number))).toEqual([2, 2, 1]);
    expect(result.trials.map(({ state }) => state)).toEqual(["complete", "fail", "pruned", "complete", "complete", "complete"]);
    expect(result.trials[1]!.reason).toBe("the machine is broken");
  });

  test("the pruner judges reports from elsewhere as it judges those from here", async () => {
    const objective = async (trial: SweepTrial): Promise<number> => {
      for (let step = 1; step <= 4; step++) {
        trial.report(step, Number(trial.params["x"]) * step);
        await trial.judged();
        const reason = trial.should_prune();
        if (reason !== undefined) throw new TrialPruned(reason);
      }
      return Number(trial.params["x"]) * 4;
    };
    const more = { grid: { x: [4, 1, 2, 3, 5] }, goal: "maximize", pruner: { type: "asha", reduction_factor: 2 } } as const;
    const here = await sweep(input("pruned-here", objective, more));
    const there = await together("pruned", input("pruned-there", objective, more), 1);
    expect(there.to_csv()).toBe(here.to_csv());
    expect(there.trials.map(({ state }) => state)).toContain("pruned");
    expect(there.trials[3]!.reason).toBe("asha: at step 2 its value is number 2 of 2, and the best one goes on");
  });

  test("a worker whose thread hangs loses its trial to another, and what it says afterwards counts no more", async () => {
    const file = join(folder, "hangs.mjs");
    writeFileSync(
      file,
      `const { serveBullmq } = await import(process.argv[2]);
      await serveBullmq({ redis: process.argv[3], queue: "hangs", lease_seconds: 1, idle_seconds: 3, objective: ({ attempt, params }) => {
        // Nothing else of this process runs meanwhile.
        if (attempt === 1) for (const until = performance.now() + 4000; performance.now() < until; );
        return params.x * attempt;
      } });`,
    );
    const build = pathToFileURL(join(ROOT, "dist/src/sweep/index.js")).href;
    const workers = [1, 2].map(() => keep(start(process.execPath, [file, build, redis.url])));
    const sent = input("hangs", () => Promise.reject(new Error("it runs elsewhere")), { grid: { x: [1] }, lease_seconds: 1 });
    const result = await sweep({ ...sent, engine: bullmqEngine({ redis: redis.url, queue: "hangs" }) });
    expect(result.trials.map(({ state, value }) => [state, value])).toEqual([["complete", 2]]);
    expect(await Promise.all(workers.map(({ ended }) => ended)), workers.map((run) => run.output()).join("")).toEqual([0, 0]);
  });

  test("an address that is none, and one where nobody answers", async () => {
    const at = (address: string): Promise<unknown> =>
      sweep(input("nowhere", () => Promise.resolve(1), { engine: bullmqEngine({ redis: address }) })).catch((error: unknown) => error);
    expect(await at("localhost:6379")).toMatchObject({
      code: "sweep_redis",
      message: "sweep: redis must be an address like redis://host:6379, got localhost:6379",
    });
    const closed = await freePort();
    expect(await at(`redis://me:secret@127.0.0.1:${closed}`)).toMatchObject({
      code: "sweep_redis",
      message: expect.stringContaining(`got redis://…@127.0.0.1:${closed}`) as string,
    });
  });
});
