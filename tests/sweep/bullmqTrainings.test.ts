import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { HINT, ROOT, RedisServer, type Run, freePort, hasRedis, killAll, preflab, sleep, tableOf, until, writeSweep } from "./servers.js";

let folder: string;
let redis: RedisServer;
const runs: Run[] = [];
const keep = (run: Run): Run => (runs.push(run), run);
const startWorker = (queue: string): Run => keep(preflab(["worker", "--redis", redis.url, "--queue", queue, "--lease_seconds", "3"]));
const startSweep = (file: string, queue: string, ...more: string[]): Run =>
  keep(preflab(["sweep", file, "--engine", "bullmq", "--redis", redis.url, "--queue", queue, ...more]));

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

describe.skipIf(!hasRedis)(`trainings on several workers ${HINT}`, () => {
  test("a worker killed -9 in the middle, Redis killed and started again: the single machine's table", async () => {
    const alone = keep(preflab(["sweep", writeSweep(folder, "alone")]));
    expect(await alone.ended, alone.output()).toBe(0);
    const workers = [1, 2, 3].map(() => startWorker("q"));
    const coordinator = startSweep(writeSweep(folder, "together"), "q");
    // In the middle of a trial.
    await until("a worker reports", () => /^trial \d+ {2}\S+:\d+ {2}step 3/m.test(coordinator.output()));
    const pid = Number(/^trial \d+ {2}\S+:(\d+) {2}step 3/m.exec(coordinator.output())![1]);
    const killed = workers.find(({ child }) => child.pid === pid)!;
    killed.child.kill("SIGKILL");
    expect(await killed.ended).toBe(null);
    await redis.kill();
    await sleep(500);
    await redis.start();
    expect(await coordinator.ended, coordinator.output()).toBe(0);
    expect(tableOf(join(folder, "together"))).toBe(tableOf(join(folder, "alone")));
    const best = (name: string): Buffer => readFileSync(join(folder, name, "best/adapter_model.safetensors"));
    expect(best("together").equals(best("alone"))).toBe(true);
    // Nothing is left behind but BullMQ's own notes of the queue.
    const keys = await redis.withClient((client) => client.keys("preflab:*"));
    expect(keys.filter((key) => /_\d+$|:notes:/.test(key))).toEqual([]);
  });

  test("the coordinator killed -9 goes on where it was; cancelled, workers stop at the next step", async () => {
    const file = writeSweep(folder, "killed", { options: { per_device_train_batch_size: 2, max_steps: 300, logging_steps: 1 } });
    startWorker("k");
    const first = startSweep(file, "k");
    await until("a trial reports", () => /step 2:/.test(first.output()));
    first.child.kill("SIGKILL");
    await first.ended;
    const second = startSweep(file, "k");
    await until("the second hears of the first one's trial", () => /^trial 1 {2}\S+ {2}step/m.test(second.output()));
    // From a third process, as when the second's machine cannot be reached.
    const cancel = startSweep(file, "k", "--cancel");
    expect(await cancel.ended, cancel.output()).toBe(0);
    expect(cancel.output()).toContain("those that run end at their next step");
    expect(await second.ended).toBe(1);
    expect(second.output()).toContain("it was cancelled from elsewhere; the same command goes on from there");
    // Ctrl-C does the same from the coordinator's own terminal.
    const third = startSweep(file, "k");
    await until("the third goes on", () => /step 5:/.test(third.output()));
    third.child.kill("SIGINT");
    expect(await third.ended, third.output()).toBe(130);
  });

  test("a worker with other rows refuses before its first trial, and its trial goes back", async () => {
    const data = join(folder, "data");
    mkdirSync(data);
    const rows = join(data, "train.jsonl");
    const text = readFileSync(join(ROOT, "datasets/truthy-dpo-mini/train.jsonl"), "utf8");
    writeFileSync(rows, text);
    const coordinator = startSweep(writeSweep(folder, "rows", { data }), "r");
    await until("a trial waits", () => redis.withClient(async (client) => (await client.keys("preflab:r:*_0")).length === 1));
    writeFileSync(rows, text.replace("sleep", "dream"));
    const worker = startWorker("r");
    expect(await worker.ended).toBe(1);
    expect(worker.output()).toMatch(
      /^preflab worker: this machine must have what the sweep was started with, got other training rows \(\w{12} there, \w{12} here\)/m,
    );
    await until("the coordinator tells", () => /a worker refuses trials: \S+: preflab worker: this machine/.test(coordinator.output()));
  });
});
