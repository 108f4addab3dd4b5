import { expect, test } from "vitest";
import type { Endpoint, Outputs } from "../../src/app/endpoint.js";
import { type Job, JobQueue, type JobState } from "../../src/app/jobs.js";
import { pause } from "./apps.js";

const OPTIONS = { concurrency_limit: 1, max_size: 2, time_limit: 10 };

function endpoint(run: (signal: AbortSignal) => AsyncIterable<Outputs>): Endpoint {
  return { name: "test", description: "", inputs: [], outputs: [], run: (_, { signal }) => run(signal) };
}

/** Waits until it is let go. */
function gate(): { endpoint: Endpoint; open: () => void } {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return {
    endpoint: endpoint(async function* () {
      yield ["begun"];
      await opened;
      yield ["over"];
    }),
    open,
  };
}

function statesOf(job: Job): JobState[] {
  const states: JobState[] = [];
  job.listen((state) => states.push(state));
  return states;
}

test("jobs wait in order, hear their place, and too many are refused", async () => {
  const queue = new JobQueue(OPTIONS);
  const first = gate();
  const running = queue.submit(first.endpoint, []);
  const second = queue.submit(gate().endpoint, []);
  const third = queue.submit(gate().endpoint, []);
  const states = statesOf(third);
  expect(() => queue.submit(first.endpoint, [])).toThrow(expect.objectContaining({ code: "app_queue_full" }));
  expect([queue.running, queue.waiting]).toEqual([1, 2]);
  second.stop();
  expect(second.state).toEqual({ type: "done", outputs: null, stopped: true, seconds: 0 });
  first.open();
  await running.finished;
  expect(running.state).toMatchObject({ type: "done", outputs: ["over"], stopped: false });
  await pause(5);
  expect(states.map((state) => (state.type === "queued" ? state.rank : state.type))).toEqual([1, 0, "running", "output"]);
  third.stop();
  await third.finished;
  expect(third.state).toMatchObject({ type: "done", outputs: ["begun"], stopped: true });
});

test("a call that takes too long is ended, and one that does not listen gives its place up", async () => {
  const queue = new JobQueue({ ...OPTIONS, time_limit: 0.05 });
  let aborted = false;
  const deaf = queue.submit(
    endpoint(async function* (signal) {
      signal.addEventListener("abort", () => (aborted = true));
      yield [1];
      await new Promise(() => undefined);
    }),
    [],
  );
  await deaf.finished;
  expect(deaf.state).toMatchObject({
    type: "failed",
    error: { code: "app_time_limit", message: "The call took longer than 0.05 s and was ended" },
  });
  expect(aborted).toBe(true);
});

test("what a function throws is the job's end, and the next job runs", async () => {
  const queue = new JobQueue(OPTIONS);
  const bad = queue.submit(
    endpoint(async function* () {
      yield [1];
      throw new TypeError("no");
    }),
    [],
  );
  const good = queue.submit(
    endpoint(async function* () {
      yield [2];
    }),
    [],
  );
  await Promise.all([bad.finished, good.finished]);
  expect(bad.state).toMatchObject({ type: "failed", error: { message: "no" } });
  expect(good.state).toMatchObject({ type: "done", outputs: [2] });
  // Who listens late is told how it ended.
  expect(statesOf(good)).toHaveLength(1);
});

test("an immediate endpoint does not wait", async () => {
  const queue = new JobQueue(OPTIONS);
  const blocked = gate();
  queue.submit(blocked.endpoint, []);
  const vote = queue.submit(
    {
      ...endpoint(async function* () {
        yield ["now"];
      }),
      immediate: true,
    },
    [],
  );
  await vote.finished;
  expect(vote.state).toMatchObject({ type: "done", outputs: ["now"] });
  blocked.open();
});
