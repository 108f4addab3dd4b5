import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { slurmEngine, sweep } from "../../src/sweep/index.js";
import { HINT, type Run, SlurmServer, hasSlurm, killAll, preflab, tableOf, until, writeSweep } from "./servers.js";

let folder: string;
let slurm: SlurmServer;
const runs: Run[] = [];
const startSweep = (file: string, ...more: string[]): Run => {
  const run = preflab(["sweep", file, ...more], slurm.env);
  runs.push(run);
  return run;
};

beforeAll(async () => {
  if (!hasSlurm) return;
  folder = mkdtempSync(join(tmpdir(), "preflab-slurm-"));
  slurm = new SlurmServer(folder);
  await slurm.start(2);
});
afterEach(async () => killAll(runs));
afterAll(async () => {
  if (!hasSlurm) return;
  await slurm.stop();
  rmSync(folder, { recursive: true, force: true });
});

describe.skipIf(!hasSlurm)(`trainings as tasks of a Slurm array ${HINT}`, () => {
  test("a worker and the coordinator killed -9: the single machine's table", async () => {
    const alone = startSweep(writeSweep(folder, "alone"));
    expect(await alone.ended, alone.output()).toBe(0);
    const file = writeSweep(folder, "together");
    const first = startSweep(file, "--engine", "slurm", "--tasks", "2", "--sbatch=--partition=all,--time=10");
    await until("a worker reports", () => /^trial \d+ {2}\S+:\d+ {2}step 3/m.test(first.output()));
    const pid = Number(/^trial \d+ {2}\S+:(\d+) {2}step 3/m.exec(first.output())![1]);
    first.child.kill("SIGKILL");
    await first.ended;
    process.kill(pid, "SIGKILL");
    const second = startSweep(file, "--engine", "slurm");
    expect(await second.ended, `${second.output()}\n${slurm.log()}`).toBe(0);
    // It found the array of the first, and submitted again what the dead worker had left.
    expect(second.output().match(/Slurm has [12] trials as job \d+/g)).toHaveLength(1);
    expect(tableOf(join(folder, "together"))).toBe(tableOf(join(folder, "alone")));
    const best = (name: string): Buffer => readFileSync(join(folder, name, "best/adapter_model.safetensors"));
    expect(best("together").equals(best("alone"))).toBe(true);
  });

  test("cancelled from another process: waiting tasks leave Slurm, those that run end at the next step, and no array is left", async () => {
    const options = { per_device_train_batch_size: 2, max_steps: 3000, logging_steps: 1 };
    const file = writeSweep(folder, "cancelled", { options });
    const run = startSweep(file, "--engine", "slurm", "--max_trials_at_once", "1");
    await until("a trial reports", () => /step 2:/.test(run.output()));
    // One at once, on a node with two processors.
    expect(slurm.squeue("--format=%T").trim().split("\n").sort()).toEqual([...Array<string>(3).fill("PENDING"), "RUNNING"]);
    const cancel = startSweep(file, "--engine", "slurm", "--cancel");
    expect(await cancel.ended, cancel.output()).toBe(0);
    expect(await run.ended).toBe(1);
    expect(run.output()).toContain("it was cancelled from elsewhere; the same command goes on from there");
    expect(slurm.squeue().trim()).toBe("");
    const [id] = readdirSync(join(folder, "cancelled/slurm"));
    expect(existsSync(join(folder, "cancelled/slurm", id!, "array-1.json"))).toBe(false);
  });

  test("without Slurm, with options of another engine, and without a number of trials it is refused", async () => {
    const input = { objective: () => 1, metric: "m", output_dir: join(folder, "refused"), progress: false } as const;
    const endless = sweep({ ...input, space: { x: { uniform: [0, 1] } }, budget: { seconds: 1 }, engine: slurmEngine() });
    await expect(endless).rejects.toMatchObject({ code: "sweep_budget" });
    const file = writeSweep(folder, "elsewhere");
    const wrong = startSweep(file, "--engine", "slurm", "--retries", "3");
    expect(await wrong.ended).toBe(2);
    expect(wrong.output()).toContain("preflab sweep: retries must go with --engine bullmq, got slurm");
    const away = preflab(["sweep", file, "--engine", "slurm"], { ...slurm.env, PATH: "/nowhere" });
    runs.push(away);
    expect(await away.ended).toBe(1);
    expect(away.output()).toMatch(/^sweep: \w+ must be able to run, got: the program is not there; start the sweep on a machine of the/m);
  });
});
