import { request as httpRequest } from "node:http";
import { connect } from "node:net";
import { describe, expect, test } from "vitest";
import { ChatInterface } from "../../src/app/index.js";
import { Random } from "../../src/random.js";
import { type Json, callEvents, counter, eventsOf, greeter, pause, postJson, serve } from "./apps.js";

/** With headers that fetch does not let through. */
function get(url: string, headers: Record<string, string>): Promise<number> {
  return new Promise((resolve, reject) => {
    httpRequest(url, { headers }, (response) => {
      response.resume();
      resolve(response.statusCode!);
    })
      .on("error", reject)
      .end();
  });
}

describe("launch", () => {
  test("listens to this machine, takes 7860 or the next free port, and says when a port is taken", async () => {
    const first = await greeter().launch({ quiet: true });
    const second = await greeter().launch({ quiet: true });
    try {
      const ports = [first, second].map(({ url }) => Number(new URL(url).port));
      expect(first.url).toMatch(/^http:\/\/127\.0\.0\.1:78\d\d$/);
      expect(ports[0]).toBeGreaterThanOrEqual(7860);
      expect(ports[1]).toBeGreaterThan(ports[0]!);
      expect(first.network_url).toBeUndefined();
      await expect(greeter().launch({ quiet: true, server_port: ports[0]! })).rejects.toMatchObject({
        code: "app_address",
        message: expect.stringMatching(/must be free to listen on, got EADDRINUSE/),
      });
      await expect(greeter().launch({ port: 1 } as never)).rejects.toMatchObject({
        code: "option_unknown",
        message: expect.stringMatching(/server_port/),
      });
    } finally {
      await first.stop();
      await second.stop();
    }
    await expect(fetch(first.url)).rejects.toThrow();
  });

  test("share listens in the network", async () => {
    const shared = await serve(greeter(), { share: true });
    expect(shared.network_url === undefined || /^http:\/\/\d+\.\d+\.\d+\.\d+:\d+$/.test(shared.network_url)).toBe(true);
    expect((await fetch(`${shared.url}/config`)).status).toBe(200);
  });
});

describe("the page", () => {
  test("loads nothing from elsewhere and holds the description safely", async () => {
    const app = greeter();
    const evil = new ChatInterface({ fn: (text) => text, title: "</script><b>", examples: ["</script><script>alert(1)</script>"] });
    for (const each of [app, evil]) {
      const { url } = await serve(each);
      const response = await fetch(url);
      const html = await response.text();
      expect(response.headers.get("content-security-policy")).toMatch(/default-src 'none'; script-src 'self'/);
      expect(html.match(/(src|href)="[^"]*"/g)).toEqual(['href="/assets/app.css"', 'src="/assets/app.js"']);
      const data = /<script type="application\/json" id="app">(.*?)<\/script>/s.exec(html)![1]!;
      expect(JSON.parse(data)).toEqual(JSON.parse(JSON.stringify(each.describe())));
      const script = await (await fetch(`${url}/assets/app.js`)).text();
      expect(script).not.toMatch(/https?:\/\//);
    }
  });
});

describe("who may come in", () => {
  test("a password closes everything but the way in", async () => {
    const { url } = await serve(greeter(), { auth: [["ada", "pass:word"]] });
    expect(await (await fetch(url)).text()).toMatch(/name="password"/);
    for (const path of ["/config", "/gradio_api/info", "/v1/models", "/gradio_api/queue/data?session_hash=x"])
      expect((await fetch(url + path)).status, path).toBe(401);
    expect((await postJson(`${url}/gradio_api/run/predict`, { data: ["A"] })).status).toBe(401);
    const basic = `Basic ${Buffer.from("ada:pass:word").toString("base64")}`;
    for (const authorization of ["Bearer pass:word", basic])
      expect((await postJson(`${url}/gradio_api/run/predict`, { data: ["A"] }, { authorization })).status).toBe(200);
    for (const authorization of ["Bearer pass", "Basic !!", "Basic", `Basic ${Buffer.from("bob:pass:word").toString("base64")}`])
      expect((await postJson(`${url}/gradio_api/run/predict`, { data: ["A"] }, { authorization })).status).toBe(401);
    // As a browser logs in.
    const login = await fetch(`${url}/login`, {
      method: "POST",
      redirect: "manual",
      headers: { accept: "text/html" },
      body: new URLSearchParams({ username: "ada", password: "pass:word" }),
    });
    expect([login.status, login.headers.get("location")]).toEqual([303, "/"]);
    const cookie = login.headers.get("set-cookie")!;
    expect(cookie).toMatch(/HttpOnly; SameSite=Lax/);
    expect((await fetch(`${url}/config`, { headers: { cookie: cookie.split(";")[0]! } })).status).toBe(200);
    expect((await fetch(`${url}/config`, { headers: { cookie: "preflab-app=x; a" } })).status).toBe(401);
    // Guessing takes long.
    const tries = [];
    for (let i = 0; i < 25; i++)
      tries.push(
        (await fetch(`${url}/login`, { method: "POST", body: new URLSearchParams({ username: "ada", password: String(i) }) })).status,
      );
    expect(tries).toContain(429);
  });

  test("pages of other sites get nothing through a visitor's browser", async () => {
    const { url } = await serve(greeter());
    const { port } = new URL(url);
    expect(await get(`${url}/config`, { host: `evil.example:${port}` })).toBe(403);
    expect(await get(`${url}/config`, { host: `localhost:${port}` })).toBe(200);
    const send = (origin: string): Promise<{ status: number }> => postJson(`${url}/gradio_api/run/predict`, { data: ["A"] }, { origin });
    expect((await send("http://evil.example")).status).toBe(403);
    expect((await send("null")).status).toBe(403);
    expect((await send(url)).status).toBe(200);
  });
});

describe("limits", () => {
  test("a queue that is full says so, and calls that take too long are ended", async () => {
    const heard: string[] = [];
    const { url } = await serve(counter(heard, { max_size: 1, time_limit: 0.3, step: 10 }));
    const start = (): Promise<{ status: number; body: Json }> => postJson(`${url}/gradio_api/call/count`, { data: [1e6] });
    const [first, second, third] = [await start(), await start(), await start()];
    expect([first.status, second.status, third.status]).toEqual([200, 200, 503]);
    expect(third.body.detail).toMatch(/^Too many wait already/);
    const events = [];
    for await (const { event, data } of eventsOf(await fetch(`${url}/gradio_api/call/count/${first.body.event_id}`)))
      events.push([event, data]);
    expect(events.at(-1)).toEqual(["error", "The call took longer than 0.3 s and was ended"]);
    await pause(30);
    expect(heard[0]).toBe("ended");
  });

  test("requests by the minute, bodies by their size", async () => {
    const { url } = await serve(greeter(), { requests_per_minute: 5, max_file_size: 0.001 });
    const large = "x".repeat(5 << 20);
    expect((await postJson(`${url}/gradio_api/call/predict`, { data: [large] })).status).toBe(413);
    const form = new FormData();
    form.append("files", new Blob(["y".repeat(2000)]), "a");
    expect((await fetch(`${url}/gradio_api/upload`, { method: "POST", body: form })).status).toBe(413);
    const statuses = [];
    for (let i = 0; i < 5; i++) statuses.push((await fetch(`${url}/config`)).status);
    expect(statuses).toEqual([200, 200, 200, 429, 429]);
  });
});

describe("malformed requests", () => {
  const valid = [
    ["/gradio_api/call/predict", { data: ["Ada", 2] }],
    ["/gradio_api/run/predict", { data: { textbox: "Ada" } }],
    ["/gradio_api/queue/join", { data: ["Ada", 1], fn_index: 0, session_hash: "s" }],
    ["/gradio_api/cancel", { event_id: "x", session_hash: "s", fn_index: 0 }],
    ["/v1/chat/completions", { model: "answer", messages: [{ role: "user", content: "Hi" }], stream: false, stop: ["x"] }],
    ["/gradio_api/call/vote", { data: [[{ role: "user", content: "Hi" }], "a", true, "b"] }],
  ] as const;
  const strange: unknown[] = [
    null,
    -1,
    1e308,
    "",
    "\u0000\ud800",
    [],
    {},
    [[[]]],
    { length: 9 },
    true,
    "__proto__",
    { toString: 1 },
    [null, null, null, null, null, null],
  ];

  /** A copy with one value, anywhere, replaced, removed or renamed. */
  function mutate(value: unknown, random: Random): unknown {
    if (random.uniform() < 0.25 || typeof value !== "object" || value === null) return strange[random.integer(strange.length)];
    if (Array.isArray(value)) {
      if (value.length === 0) return [strange[random.integer(strange.length)]];
      const at = random.integer(value.length);
      return value.map((each, i) => (i === at ? mutate(each, random) : each));
    }
    const entries = Object.entries(value);
    const at = random.integer(Math.max(1, entries.length));
    const kind = random.integer(3);
    return Object.fromEntries(
      entries.flatMap(([key, each], i) =>
        i !== at ? [[key, each]] : kind === 0 ? [] : kind === 1 ? [[`${key}x`, each]] : [[key, mutate(each, random)]],
      ),
    );
  }

  test("600 of them, whole and broken, are answered without a failure of the server, which lives on", async () => {
    const random = new Random(7);
    const chat = new ChatInterface({ fn: (text) => `You said ${text}`, preferences_file: "/dev/null" });
    const servers = [await serve(greeter(), { requests_per_minute: null }), await serve(chat, { requests_per_minute: null })];
    const counts: Record<number, number> = {};
    for (let i = 0; i < 600; i++) {
      const [path, body] = valid[random.integer(valid.length)]!;
      const { url } = servers[i % 2]!;
      let text = JSON.stringify(mutate(structuredClone(body), random)) ?? "";
      if (i % 5 === 0) text = text.slice(0, random.integer(text.length + 1));
      if (i % 7 === 0) text = text.replace(/./, () => String.fromCharCode(random.integer(256)));
      const types = ["application/json", "text/plain", "multipart/form-data; boundary=x", ""];
      const response = await fetch(url + path, { method: "POST", body: text, headers: { "content-type": types[random.integer(4)]! } });
      counts[response.status] = (counts[response.status] ?? 0) + 1;
      await response.text();
    }
    expect(
      Object.keys(counts)
        .map(Number)
        .filter((status) => ![200, 400, 404, 422].includes(status)),
      JSON.stringify(counts),
    ).toEqual([]);
    expect(counts[200]).toBeGreaterThan(5);
    expect(await callEvents(servers[0]!.url, "predict", ["Ada"])).toContainEqual({ event: "complete", data: ["Hello, Ada!"] });
    expect((await callEvents(servers[1]!.url, "chat", ["Ada"])).at(-1)).toEqual({ event: "complete", data: ["You said Ada"] });
  });

  test("addresses, methods, forms and raw bytes", async () => {
    const { url } = await serve(greeter(), { requests_per_minute: null });
    const { port } = new URL(url);
    const paths = [
      "//",
      "/%",
      "/gradio_api/file=%",
      "/gradio_api/call/",
      "/gradio_api/call/predict/x/y",
      "/gradio_api/call/__proto__/constructor",
      "/../../etc/passwd",
      "/gradio_api/queue/data",
      "/v1/",
      "/run",
      `/${"a".repeat(8000)}`,
    ];
    for (const method of ["GET", "POST", "PUT", "DELETE", "OPTIONS"])
      for (const path of paths) {
        const { status } = await fetch(url + path, { method, ...(method === "GET" ? {} : { body: "{}" }) });
        expect([200, 400, 404, 415, 422], `${method} ${path}`).toContain(status);
      }
    for (const body of ["--x\r\n", "--x\r\nContent-Disposition: form-data; name=files\r\n\r\nabc", "--x--", ""])
      expect(
        (await fetch(`${url}/gradio_api/upload`, { method: "POST", body, headers: { "content-type": "multipart/form-data; boundary=x" } }))
          .status,
      ).toBe(400);
    for (const raw of [
      "\r\n\r\n",
      "GET\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: a b\r\nContent-Length: -4\r\n\r\n",
      "GET http://x/ HTTP/1.1\r\nHost: [\r\n\r\n",
      "\u0000".repeat(100),
      "POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nabc",
    ]) {
      const socket = connect(Number(port), "127.0.0.1");
      socket.on("error", () => undefined);
      socket.end(raw);
      await new Promise((resolve) => socket.on("close", resolve).resume());
    }
    await pause(10);
    expect((await fetch(`${url}/config`)).status).toBe(200);
  });
});
