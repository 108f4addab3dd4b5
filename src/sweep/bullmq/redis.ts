/** What coordinator and workers of a BullMQ sweep agree on, and the notes that BullMQ has no place for. */
import type { ConnectionOptions } from "bullmq";
import type { Redis as RedisClient } from "ioredis";
import { ConfigError } from "../../errors.js";
import type { Params } from "../space.js";

export interface RedisInput {
  /** `redis://[user:password@]host[:port][/database]`, or `rediss://` for TLS. */
  readonly redis: string;
  /** Name of the queue; default "preflab". Sweeps may share one, and its limits. */
  readonly queue?: string;
}

export const DEFAULT_QUEUE = "preflab";

/** Of the keys in Redis. */
const PREFIX = "preflab";

/** A job's content. */
export interface JobData {
  /** The sweep's id. */
  readonly sweep: string;
  readonly folder: string;
  readonly number: number;
  readonly params: Params;
}

/** What a worker tells while it has a job. */
export type JobNews =
  | { readonly type: "begun"; readonly worker: string }
  | { readonly type: "report"; readonly worker: string; readonly step: number; readonly value: number }
  | { readonly type: "refused"; readonly worker: string; readonly reason: string };

export const jobId = (sweep: string, number: number): string => `${sweep}_${number}`;

/** @returns undefined for a job of another sweep */
export function numberOf(sweep: string, id: string): number | undefined {
  return id.startsWith(`${sweep}_`) ? Number(id.slice(sweep.length + 1)) : undefined;
}

/** A Redis that is away for a while is waited for, at this pace at most, ms. */
const RETRY_MS = 1000;

export interface Connected {
  readonly bullmq: typeof import("bullmq");
  /** For notes. */
  readonly client: RedisClient;
  readonly queue: string;
  /** For BullMQ's own connections. */
  readonly connection: { readonly connection: ConnectionOptions; readonly prefix: string };
}

/** @throws ConfigError `sweep_redis` for an address that is none, or where nobody answers within ten seconds */
export async function connect({ redis, queue = DEFAULT_QUEUE }: RedisInput, where: string): Promise<Connected> {
  requireAddress(redis, queue, where);
  const [bullmq, { Redis }] = await Promise.all([import("bullmq"), import("ioredis")]);
  const options = { maxRetriesPerRequest: null, retryStrategy: (times: number) => Math.min(100 * times, RETRY_MS) };
  const client = new Redis(redis, { ...options, lazyConnect: true });
  // Each loss is told once by the promise that waits, or mended; without a listener it would end the process.
  client.on("error", () => undefined);
  const timeout = new Promise<never>((_, reject) => {
    setTimeout(() => reject(new Error("no answer in 10 s")), 10_000).unref();
  });
  try {
    await Promise.race([client.connect().then(() => client.ping()), timeout]);
  } catch (error) {
    client.disconnect();
    throw new ConfigError(
      "sweep_redis",
      `${where}: redis must be the address of a running Redis server, got ${withoutPassword(redis)}: ${(error as Error).message}`,
      { cause: error },
    );
  }
  const connection = { url: redis, ...options };
  return { bullmq, client, queue, connection: { connection, prefix: PREFIX } };
}

function requireAddress(redis: string, queue: string, where: string): void {
  if (!/^rediss?:\/\//.test(redis) || !URL.canParse(redis))
    throw new ConfigError("sweep_redis", `${where}: redis must be an address like redis://host:6379, got ${withoutPassword(redis)}`);
  if (!/^[\w.-]+$/.test(queue))
    throw new ConfigError("sweep_redis", `${where}: queue must be letters, digits, ".", "_" and "-", got ${queue}`);
}

const withoutPassword = (url: string): string => url.replace(/\/\/[^@/]*@/, "//…@");

/** Answers to workers, in one hash per sweep: whether it is stopped, and what the pruner says of a report. They survive a restart of Redis. */
export class Notes {
  readonly #client: RedisClient;
  readonly #key: string;

  constructor(client: RedisClient, sweep: string) {
    this.#client = client;
    this.#key = `${PREFIX}:notes:${sweep}`;
  }

  async stop(): Promise<void> {
    await this.#client.hset(this.#key, "stop", "1");
  }
  async isStopped(): Promise<boolean> {
    return (await this.#client.hexists(this.#key, "stop")) === 1;
  }
  async goOn(): Promise<void> {
    await this.#client.hdel(this.#key, "stop");
  }

  async judge(number: number, step: number, reason: string | undefined): Promise<void> {
    await this.#client.hset(this.#key, String(number), JSON.stringify({ step, reason }));
  }
  /** @returns undefined while the report of this step has no answer */
  async verdict(number: number, step: number): Promise<{ reason?: string } | undefined> {
    const text = await this.#client.hget(this.#key, String(number));
    const verdict = text === null ? undefined : (JSON.parse(text) as { step: number; reason?: string });
    return verdict !== undefined && verdict.step >= step ? verdict : undefined;
  }
  async forget(number: number): Promise<void> {
    await this.#client.hdel(this.#key, String(number));
  }
  async clear(): Promise<void> {
    await this.#client.del(this.#key);
  }
}
