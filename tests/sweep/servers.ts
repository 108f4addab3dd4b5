/** A Redis and a Slurm of the tests' own, in folders of their own. */
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { hostname } from "node:os";
import { join, resolve } from "node:path";
import { Redis } from "ioredis";

/** Daemons live beside what users call. */
process.env["PATH"] += ":/usr/sbin:/sbin";

const has = (program: string): boolean => spawnSync("sh", ["-c", `command -v ${program}`]).status === 0;
export const hasRedis = has("redis-server");
/** Slurm's own daemons are started as root. */
export const hasSlurm = ["slurmctld", "slurmd", "sbatch", "munged"].every(has) && process.getuid?.() === 0;
export const HINT = "(scripts/install-cluster-checks.sh installs what it needs)";

export const ROOT = resolve(import.meta.dirname, "../..");
export const CLI = join(ROOT, "dist/src/cli.js");

export const sleep = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

export async function until(what: string, holds: () => boolean | Promise<boolean>, ms = 45_000): Promise<void> {
  for (const end = performance.now() + ms; performance.now() < end; await sleep(50)) if (await holds()) return;
  throw new Error(`it did not come to pass in ${ms} ms: ${what}`);
}

export function freePort(): Promise<number> {
  return new Promise((done, fail) => {
    const server = createServer();
    server.on("error", fail);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => done(port));
    });
  });
}

/** A process whose output is kept. */
export interface Run {
  readonly child: ChildProcess;
  readonly ended: Promise<number | null>;
  output(): string;
}

export function start(program: string, args: readonly string[], env: NodeJS.ProcessEnv = process.env): Run {
  const child = spawn(program, args, { env, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (text: Buffer) => (output += text.toString()));
  const ended = new Promise<number | null>((done) => child.on("exit", done));
  return { child, ended, output: () => output };
}

/** Kills what a test has started, and empties the list. */
export async function killAll(runs: Run[]): Promise<void> {
  for (const { child, ended } of runs.splice(0)) {
    child.kill("SIGKILL");
    await ended;
  }
}

export const preflab = (args: readonly string[], env?: NodeJS.ProcessEnv): Run => start(process.execPath, [CLI, ...args], env);

/** A server whose data stay in its folder, so that it can be started again. */
export class RedisServer {
  readonly #folder: string;
  readonly port: number;
  #run: Run | undefined;

  constructor(folder: string, port: number) {
    this.#folder = folder;
    this.port = port;
    mkdirSync(folder, { recursive: true });
  }
  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }
  async start(): Promise<void> {
    const keep = ["--appendonly", "yes", "--appendfsync", "always", "--save", "", "--dir", this.#folder];
    this.#run = start("redis-server", ["--port", String(this.port), "--bind", "127.0.0.1", ...keep]);
    await until("Redis answers", () => /Ready to accept connections/.test(this.#run!.output()));
  }
  async kill(): Promise<void> {
    this.#run?.child.kill("SIGKILL");
    await this.#run?.ended;
  }
  async withClient<T>(work: (client: Redis) => Promise<T>): Promise<T> {
    const client = new Redis(this.url);
    try {
      return await work(client);
    } finally {
      client.disconnect();
    }
  }
}

/** One node with so many processors, whatever the machine has. */
export class SlurmServer {
  readonly #folder: string;
  readonly #daemons: Run[] = [];
  readonly env: NodeJS.ProcessEnv;

  constructor(folder: string) {
    this.#folder = folder;
    this.env = { ...process.env, SLURM_CONF: join(folder, "slurm.conf") };
  }

  async start(cpus: number): Promise<void> {
    const folder = this.#folder;
    for (const name of ["munge", "state", "spool"]) mkdirSync(join(folder, name), { recursive: true });
    // munged wants folders that others cannot write to.
    for (const name of ["", "munge"]) chmodSync(join(folder, name), 0o755);
    const key = join(folder, "munge/key");
    writeFileSync(key, Buffer.alloc(64, "preflab"), { mode: 0o400 });
    const socket = join(folder, "munge/socket");
    const files = ["pid", "log", "seed"].map((name) => `--${name}-file=${join(folder, "munge", name)}`);
    this.#daemons.push(start("munged", ["--foreground", "--force", `--key-file=${key}`, `--socket=${socket}`, ...files]));
    await until("munged answers", () => existsSync(socket));
    const [control, node] = [await freePort(), await freePort()];
    const host = hostname().split(".")[0]!;
    writeFileSync(
      this.env["SLURM_CONF"]!,
      `ClusterName=preflab
SlurmctldHost=${host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket=${socket}
SlurmctldPort=${control}
StateSaveLocation=${folder}/state
SlurmctldPidFile=${folder}/slurmctld.pid
SlurmctldLogFile=${folder}/slurmctld.log
SlurmdPidFile=${folder}/slurmd.pid
SlurmdLogFile=${folder}/slurmd.log
SlurmdSpoolDir=${folder}/spool
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=batch_sched_delay=0
SchedulerType=sched/backfill
SlurmdParameters=config_overrides
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
JobCompType=jobcomp/none
KillWait=5
MaxArraySize=1001
MailProg=/bin/true
NodeName=node1 NodeHostname=${host} NodeAddr=127.0.0.1 Port=${node} CPUs=${cpus} State=UNKNOWN
PartitionName=all Nodes=node1 Default=YES MaxTime=INFINITE State=UP
`,
    );
    this.#daemons.push(start("slurmctld", ["-D", "-i"], this.env));
    this.#daemons.push(start("slurmd", ["-D", "-N", "node1"], this.env));
    await until("a node of Slurm is idle", () => {
      const { stdout } = spawnSync("sinfo", ["--noheader", "--format=%T"], { env: this.env, encoding: "utf8" });
      return stdout.trim() === "idle";
    });
  }

  squeue(...args: string[]): string {
    return execFileSync("squeue", ["--noheader", "--array", ...args], { env: this.env, encoding: "utf8" });
  }

  /** What the daemons have to say, for a test that fails. */
  log(): string {
    return ["slurmctld.log", "slurmd.log"].map((name) => `${name}:\n${readFileSync(join(this.#folder, name), "utf8")}`).join("\n");
  }

  async stop(): Promise<void> {
    spawnSync("scancel", ["--state=RUNNING"], { env: this.env });
    spawnSync("scancel", ["--state=PENDING"], { env: this.env });
    for (const { child, ended } of this.#daemons.reverse()) {
      child.kill("SIGTERM");
      await Promise.race([ended, sleep(3000)]);
      child.kill("SIGKILL");
    }
  }
}

/** A sweep file of four small trainings, two of which fail; trials report their loss at every step. @returns its path */
export function writeSweep(folder: string, name: string, more: Readonly<Record<string, unknown>> = {}): string {
  const file = join(folder, `${name}.json`);
  const sweep = {
    ...{ base: join(ROOT, "datasets/tiny-qwen2-chat"), data: join(ROOT, "datasets/truthy-dpo-mini"), train_split: "train[:8]" },
    ...{ test_split: null, metric: "loss", grid: { learning_rate: [1e-3, -1], r: [2, 4] } },
    options: { per_device_train_batch_size: 2, max_steps: 16, logging_steps: 1 },
    ...{ output_dir: join(folder, name), lease_seconds: 3, ...more },
  };
  writeFileSync(file, JSON.stringify(sweep));
  return file;
}

/** What must be the same wherever trials ran: the table without its times. */
export function tableOf(output: string): string {
  const [head, ...rows] = readFileSync(join(output, "results.csv"), "utf8")
    .trim()
    .split("\n")
    .map((line) => line.split(","));
  const times = head!.indexOf("seconds");
  if (times < 0) throw new Error(`no column of seconds in ${head!.join(",")}`);
  return [head!, ...rows].map((cells) => cells.filter((_, i) => i !== times).join(",")).join("\n");
}
