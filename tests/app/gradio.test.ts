/** The real client of Gradio, from npm. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { Client, handle_file } from "@gradio/client";
import { readFile } from "node:fs/promises";
import { beforeAll, describe, expect, test } from "vitest";
import { type AppServer, Interface, type UploadedFile } from "../../src/app/index.js";
import { callEvents, counter, eventsOf, greeter, pause, postJson, serve } from "./apps.js";

const run = promisify(execFile);
const heard: string[] = [];
let greeting: AppServer;
let counting: AppServer;
beforeAll(async () => {
  greeting = await serve(greeter());
  counting = await serve(counter(heard));
});

describe("@gradio/client", () => {
  test("view_api tells parameters, types and defaults", async () => {
    const client = await Client.connect(greeting.url);
    const api = await client.view_api();
    expect(api.named_endpoints["/predict"]).toMatchObject({
      parameters: [
        { label: "textbox", parameter_name: "textbox", parameter_has_default: false, type: "string", component: "Textbox" },
        { label: "Times", parameter_name: "times", parameter_has_default: true, parameter_default: 1, type: "number", component: "Slider" },
      ],
      returns: [{ label: "Greeting", type: "string", component: "Textbox" }],
    });
    client.close();
  });

  test("predict by place, by name and by number", async () => {
    const client = await Client.connect(greeting.url);
    expect((await client.predict("/predict", ["Ada", 2])).data).toEqual(["Hello, Ada! Hello, Ada!"]);
    expect((await client.predict("/predict", { textbox: "ليلى" })).data).toEqual(["Hello, ليلى!"]);
    expect((await client.predict(0, ["Bo", 1])).data).toEqual(["Hello, Bo!"]);
    await expect(client.predict("/predict", ["Ada", 77])).rejects.toThrow(/times: must be a number from 1 to 5/);
    client.close();
  });

  test("submit streams differences that the client puts together, several calls through one stream", async () => {
    const client = await Client.connect(counting.url, { events: ["data", "status"] });
    const collect = async (to: number): Promise<{ numbers: unknown[]; stages: string[] }> => {
      const numbers: unknown[] = [];
      const stages: string[] = [];
      for await (const event of client.submit("/count", [to])) {
        if (event.type === "data") numbers.push((event.data as unknown[])[0]);
        if (event.type === "status") stages.push(event.stage);
      }
      return { numbers, stages };
    };
    const [a, b] = await Promise.all([collect(40), collect(20)]);
    // The first is where the count stood when the client began to listen.
    for (const [numbers, to] of [
      [a.numbers, 40],
      [b.numbers, 20],
    ] as const) {
      expect(numbers.length).toBeGreaterThan(10);
      expect([...numbers].sort((x, y) => Number(x) - Number(y))).toEqual(numbers);
      expect(numbers.slice(-2)).toEqual([to, to]);
    }
    expect(a.stages.at(-1)).toBe("complete");
    expect(a.stages).toContain("generating");
    client.close();
  });

  test("cancel ends the function; what there was is the result", async () => {
    heard.length = 0;
    const client = await Client.connect(counting.url, { events: ["data", "status"] });
    const job = client.submit("/count", [1e6]);
    let latest = 0;
    for await (const event of job) {
      if (event.type !== "data") continue;
      latest = (event.data as number[])[0]!;
      if (latest === 3) await job.cancel();
    }
    expect(latest).toBeGreaterThanOrEqual(3);
    expect(latest).toBeLessThan(100);
    await pause(20);
    expect(heard).toEqual(["ended"]);
    client.close();
  });

  test("uploads a file where an input takes one, and no other path is read", async () => {
    const sizes = await serve(
      new Interface({
        fn: async (file: UploadedFile) => `${file.orig_name}: ${(await readFile(file.path, "utf8")).length} of ${file.size}`,
        inputs: { type: "file", label: "File" },
        outputs: "text",
      }),
    );
    const client = await Client.connect(sizes.url);
    const file = new File(["twelve bytes"], "../../etc/ملاحظة.txt");
    expect((await client.predict("/predict", [handle_file(file)])).data).toEqual(["../../etc/ملاحظة.txt: 12 of 12"]);
    await expect(client.predict("/predict", [{ path: "/etc/passwd", meta: { _type: "gradio.FileData" } }])).rejects.toThrow(
      /must be a file that was uploaded here/,
    );
    const [path] = await (await fetch(`${sizes.url}/gradio_api/upload`, { method: "POST", body: form("abc") })).json();
    const back = await fetch(`${sizes.url}/gradio_api/file=${encodeURIComponent(path)}`);
    expect([await back.text(), back.headers.get("content-disposition")]).toEqual(["abc", "attachment"]);
    expect((await fetch(`${sizes.url}/gradio_api/file=/etc/passwd`)).status).toBe(404);
    client.close();
  });

  test("logs in where a password is asked for", async () => {
    const closed = await serve(greeter(), { auth: [["ada", "lovelace"]] });
    await expect(Client.connect(closed.url)).rejects.toThrow(/[Ll]ogin credentials are required/);
    await expect(Client.connect(closed.url, { auth: ["ada", "wrong"] })).rejects.toThrow(/Invalid credentials/);
    const client = await Client.connect(closed.url, { auth: ["ada", "lovelace"] });
    expect((await client.predict("/predict", ["Ada"])).data).toEqual(["Hello, Ada!"]);
    client.close();
  });

  test("an error of the function reaches the client in its own words", async () => {
    const broken = await serve(
      new Interface({
        fn: () => {
          throw new RangeError("the well is dry");
        },
        inputs: [],
        outputs: "text",
      }),
    );
    const client = await Client.connect(broken.url);
    await expect(client.predict("/predict", [])).rejects.toThrow("the well is dry");
    client.close();
    expect(await callEvents(broken.url, "predict", [])).toContainEqual({ event: "error", data: "the well is dry" });
  });
});

const form = (text: string): FormData => {
  const made = new FormData();
  made.append("files", new Blob([text]), "a.txt");
  return made;
};

describe("curl", () => {
  test("POST call, then GET its events", async () => {
    const { stdout: first } = await run("curl", [
      "-s",
      "-X",
      "POST",
      `${greeting.url}/gradio_api/call/predict`,
      "-d",
      '{"data": ["Ada", 2]}',
    ]);
    const { event_id } = JSON.parse(first);
    const { stdout } = await run("curl", ["-sN", `${greeting.url}/gradio_api/call/predict/${event_id}`]);
    expect(stdout).toMatch(/event: complete\ndata: \["Hello, Ada! Hello, Ada!"\]\n\n$/);
    const { stdout: again } = await run("curl", [
      "-s",
      "-o",
      "/dev/null",
      "-w",
      "%{http_code}",
      `${greeting.url}/gradio_api/call/predict/${event_id}`,
    ]);
    expect(again).toBe("404");
  });

  test("run waits for the result", async () => {
    const { body } = await postJson(`${greeting.url}/gradio_api/run/predict`, { data: { textbox: "Ada" } });
    expect(body).toMatchObject({ data: ["Hello, Ada!"], is_generating: false });
  });
});

describe("who goes away", () => {
  test("stops what nobody waits for", async () => {
    heard.length = 0;
    const gone = new AbortController();
    const { body } = await postJson(`${counting.url}/gradio_api/call/count`, { data: [1e6] });
    const response = await fetch(`${counting.url}/gradio_api/call/count/${body.event_id}`, { signal: gone.signal });
    const events = eventsOf(response);
    await events.next();
    gone.abort();
    await pause(50);
    expect(heard).toEqual(["ended"]);
  });
});
