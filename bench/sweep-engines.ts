/**
 * What the engines for several machines cost beside the trials, with trials that return a number at once:
 *
 *     npm run build && node dist/bench/sweep-engines.js [--trials 10,1000,100000] [--engine bullmq,slurm] [--redis URL]
 *
 * bullmq: a real Redis (its own unless --redis is given), one worker in this process. slurm: a simulated cluster that writes the results of an
 * array as fast as the disk takes them; what is measured is the coordinator: submitting, finding and entering ends.
 */
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { type SweepEngine, bullmqEngine, serveBullmq, slurmEngine, sweep } from "../src/sweep/index.js";
import type { SlurmCluster } from "../src/sweep/slurm/cluster.js";
import type { ArrayFile } from "../src/sweep/slurm/files.js";

const { values } = parseArgs({
  options: {
    trials: { type: "string", default: "10,1000" },
    engine: { type: "string", default: "bullmq,slurm" },
    redis: { type: "string" },
  },
});
const folder = mkdtempSync(join(tmpdir(), "preflab-bench-engines-"));
const SPACE = { learning_rate: { log_uniform: [1e-5, 1e-2] }, beta: { uniform: [0.01, 1] }, r: { integer: [2, 64] } } as const;
const objective = (trial: { params: Readonly<Record<string, unknown>> }): number => -((Number(trial.params["beta"]) - 0.3) ** 2);

try {
  for (const name of values.engine.split(",")) {
    for (const trials of values.trials.split(",").map(Number)) await (name === "bullmq" ? measureBullmq(trials) : measureSlurm(trials));
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}

async function measureBullmq(trials: number): Promise<void> {
  const own = values.redis === undefined ? await startRedis() : undefined;
  const redis = values.redis ?? own!.url;
  const leave = new AbortController();
  const queue = `bench-${trials}`;
  const worker = serveBullmq({ redis, queue, objective, signal: leave.signal });
  try {
    await measure("bullmq", trials, bullmqEngine({ redis, queue }));
  } finally {
    leave.abort();
    await worker;
    own?.stop();
  }
}

async function measureSlurm(trials: number): Promise<void> {
  await measure("slurm, simulated", trials, slurmEngine({ cluster: simulated() }));
}

async function measure(name: string, trials: number, engine: SweepEngine): Promise<void> {
  const output_dir = join(folder, `${name} ${trials}`);
  const started = performance.now();
  const result = await sweep({
    ...{ space: SPACE, metric: "value", goal: "maximize", output_dir, progress: false, budget: { trials }, objective, engine },
  });
  const ms = performance.now() - started;
  const complete = result.trials.filter(({ state }) => state === "complete").length;
  const memory = process.memoryUsage().rss / 1e6;
  console.log(
    `${name}: ${complete} of ${trials} trials in ${(ms / 1000).toFixed(2)} s, ${(ms / trials).toFixed(2)} ms a trial; process ${memory.toFixed(0)} MB`,
  );
}

async function startRedis(): Promise<{ url: string; stop(): void }> {
  const port = await new Promise<number>((done) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const found = (server.address() as { port: number }).port;
      server.close(() => done(found));
    });
  });
  const dir = join(folder, `redis-${port}`);
  mkdirSync(dir);
  const child = spawn("redis-server", ["--port", String(port), "--appendonly", "yes", "--save", "", "--dir", dir]);
  await new Promise<void>((done, fail) => {
    child.on("error", fail);
    child.stdout.on("data", (text: Buffer) => text.toString().includes("Ready to accept") && done());
  });
  return { url: `redis://127.0.0.1:${port}`, stop: () => void child.kill() };
}

/** Every task runs at once and ends at once. */
function simulated(): SlurmCluster {
  const running = new Map<string, Set<number>>();
  return {
    mostTasks: () => Promise.resolve(1000),
    cancel: () => Promise.resolve(),
    alive: () => Promise.resolve(running),
    submit({ name, tasks, script }) {
      const { trials } = JSON.parse(readFileSync(script.replace(/sh$/, "json"), "utf8")) as ArrayFile;
      const results = join(dirname(script), "results");
      running.set(name, new Set(Array.from({ length: tasks }, (_, i) => i)));
      let next = 0;
      const work = (): void => {
        for (const end = Math.min(next + 200, trials.length); next < end; next++) {
          const { number, params } = trials[next]!;
          const sent = { state: "complete", value: objective({ params }), reason: null, facts: {}, worker: "simulated", reports: [] };
          writeFileSync(join(results, `.${number}.tmp`), JSON.stringify(sent));
          renameSync(join(results, `.${number}.tmp`), join(results, `${number}.json`));
        }
        if (next < trials.length) setImmediate(work);
        else running.get(name)!.clear();
      };
      setImmediate(work);
      return Promise.resolve("1");
    },
  };
}
