import { readFile, readdir } from "node:fs/promises";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { parse } from "csv-parse/sync";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import { type JudgeModel, type JudgeOptions, chatEndpoint, judge, localJudge } from "../../src/evaluate/index.js";
import { AutoModelForCausalLM } from "../../src/model/index.js";
import { AutoTokenizer } from "../../src/text/index.js";
import { type ChatRequest, JudgeServer, type Reply, sendJson, shownAnswers } from "./judgeServer.js";

const SECRET = "sk-very-secret-1234567890";
process.env["PREFLAB_TEST_KEY"] = SECRET;
const folder = mkdtempSync(join(tmpdir(), "preflab-judge-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const servers: JudgeServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.stop();
});
async function serve(reply: (request: ChatRequest, count: number) => Reply | Promise<Reply>): Promise<JudgeServer> {
  const server = await JudgeServer.start(reply);
  servers.push(server);
  return server;
}

const endpoint = (server: JudgeServer, more: object = {}): JudgeModel =>
  chatEndpoint({ model: "judge-1", base_url: server.base_url, first_pause_ms: 5, ...more });

/** Prefers the longer answer, and says Tie for equally long ones. */
const byLength = (request: ChatRequest): string => {
  const { first, second } = shownAnswers(request);
  return first.length > second.length ? "Model A" : first.length < second.length ? "Model B" : "Tie";
};

const answers = (rows: number): Pick<JudgeOptions, "prompts" | "answers_a" | "answers_b"> => ({
  prompts: Array.from({ length: rows }, (_, i) => `Question ${i}?`),
  answers_a: Array.from({ length: rows }, (_, i) => `long answer ${i}, with "quotes"\nand lines`),
  answers_b: Array.from({ length: rows }, () => "short"),
});

describe("a judge behind an endpoint", () => {
  test("both orders of each prompt, in one request each; a clear winner is significant", async () => {
    const server = await serve(byLength);
    const result = await judge({
      ...answers(12),
      judge: endpoint(server, { seed: 7, extra_body: { top_p: 1 } }),
      name_a: "dpo",
      name_b: "base",
    });
    expect(server.seen).toHaveLength(24);
    expect(server.seen.every(({ path, authorization }) => path === "/v1/chat/completions" && authorization === undefined)).toBe(true);
    expect(server.seen[0]!.body).toMatchObject({ model: "judge-1", temperature: 0, seed: 7, max_tokens: 16, top_p: 1 });
    for (let i = 0; i < 12; i++) {
      const shown = server.seen
        .map(({ body }) => shownAnswers(body))
        .filter(({ first, second }) => (first + second).includes(`answer ${i},`));
      expect(shown.map(({ first }) => first === "short").sort()).toEqual([false, true]);
    }
    expect(result).toMatchObject({
      wins: 12,
      losses: 0,
      ties: 0,
      counted: 12,
      invalid: 0,
      significant: true,
      win_rate: { value: 1, low: 1, high: 1 },
    });
    // 2 · 2⁻¹²
    expect(result.p_value).toBeCloseTo(2 / 4096, 12);
    expect(result.first_share.value).toBe(0.5);
    expect(result.consistency.value).toBe(1);
    expect(result.verdict).toBe(
      "dpo wins 100.0 % (95 % interval 100.0 % to 100.0 %) against base on 12 prompts: more than chance explains (sign test p = 0.00049), this judge prefers dpo.",
    );
    expect(result.summary().join(" ")).toContain("no position bias is seen");
  });

  test("three wins of three do not mean anything, though the bootstrap alone would say so", async () => {
    const server = await serve(byLength);
    const result = await judge({ ...answers(3), judge: endpoint(server) });
    expect(result).toMatchObject({ win_rate: { value: 1, low: 1, high: 1 }, significant: false });
    expect(result.p_value).toBeCloseTo(0.25, 12);
    expect(result.verdict).toContain("this does not tell the two apart (sign test p = 0.25)");
  });

  test("a judge that always takes the first is a tie everywhere and is found out", async () => {
    const server = await serve(() => "Model A");
    const result = await judge({ ...answers(10), judge: endpoint(server) });
    expect(result).toMatchObject({ wins: 0, losses: 0, ties: 10, win_rate: { value: 0.5 }, p_value: 1, significant: false });
    expect(result.first_share.value).toBe(1);
    expect(result.consistency.value).toBe(0);
    expect(result.bias).toContain("the judge favours the first");
  });

  test("ties count half, and intervals depend on the seed alone, whatever the order of arrival", async () => {
    const server = await serve(async (request, count) => {
      await new Promise((done) => setTimeout(done, (count * 7) % 11));
      return byLength(request);
    });
    const given = {
      ...answers(9),
      answers_b: answers(9).answers_a.map((text, i) => (i % 3 === 0 ? `${text} and more` : i % 3 === 1 ? "no" : text)),
    };
    const run = (seed: number, concurrency: number) => judge({ ...given, judge: endpoint(server, { concurrency }), seed });
    const [one, two, other] = [await run(1, 4), await run(1, 1), await run(2, 4)];
    expect(one).toMatchObject({ wins: 3, losses: 3, ties: 3, win_rate: { value: 0.5 } });
    expect(JSON.stringify(two)).toBe(JSON.stringify(one));
    expect(other.win_rate.value).toBe(0.5);
    expect(server.mostOpen).toBeGreaterThan(1);
    expect(server.mostOpen).toBeLessThanOrEqual(4);
  });

  test("what is no verdict is asked for once more, then counted as invalid", async () => {
    const server = await serve((request) => {
      const again = request.messages.length === 4;
      const { first, second } = shownAnswers(request);
      const about = first + second;
      if (about.includes("answer 0,")) return again ? "Model A" : "Model A is better.";
      if (about.includes("answer 1,")) return "model b";
      return ` ${byLength(request)}\n`;
    });
    const result = await judge({ ...answers(3), judge: endpoint(server) });
    expect(server.seen).toHaveLength(2 * 2 + 2 * 2 + 2);
    const again = server.seen.filter(({ body }) => body.messages.length === 4)[0]!.body.messages;
    expect(again[2]).toMatchObject({ role: "assistant" });
    expect(again[3]!.content).toContain("Reply with exactly one of: Model A, Model B, Tie.");
    expect(result).toMatchObject({ invalid: 2, incomplete: 1, counted: 2, wins: 1, ties: 1 });
    expect(result.judgements[2]).toMatchObject({ verdict: null, winner: null, answers: ["model b", "model b"] });
    expect(result.prompts[1]!.score).toBeNull();
    expect(result.summary()[2]).toBe("2 judgements of 6 ended without a verdict, so 1 prompt of 3 does not count.");
    const none = await judge({ ...answers(2), judge: endpoint(await serve(() => "hm")) });
    expect(none.verdict).toBe("There is no win rate: not one of 2 prompts has two valid judgements.");
    expect(none.rows()[0]).toMatchObject({ value: null, low: null });
    expect(none.bias).toBe("Position bias cannot be told: no judgement named a winner.");
  });

  test("429 with Retry-After, 5xx and broken answers are tried again", async () => {
    const waits: number[] = [];
    let refused = 0;
    const server = await serve((request, count) => {
      waits.push(performance.now());
      if (count === 1) return (response) => sendJson(response, 429, { error: { message: "slow down" } }, { "retry-after": "0.3" });
      if (count === 2) return (response) => sendJson(response, 503, {});
      if (count === 3) return (response) => void response.writeHead(200).end("<html>not json</html>");
      if (count === 4) return (response) => void response.destroy();
      refused = 4;
      return byLength(request);
    });
    const result = await judge({ ...answers(1), judge: endpoint(server, { concurrency: 1 }) });
    expect(refused).toBe(4);
    expect(result.wins).toBe(1);
    expect(server.seen).toHaveLength(6);
    expect(waits[1]! - waits[0]!).toBeGreaterThanOrEqual(290);
  });

  test("Retry-After may be a date, told by the server's clock", async () => {
    const server = await serve((request, count) =>
      count > 1
        ? byLength(request)
        : (response) =>
            sendJson(response, 429, {}, { date: "Wed, 21 Oct 2015 07:28:00 GMT", "retry-after": "Wed, 21 Oct 2015 07:30:30 GMT" }),
    );
    await expect(judge({ ...answers(1), judge: endpoint(server) })).rejects.toMatchObject({ code: "judge_rate_limit" });
  });

  test.each<[string, Reply, string, string]>([
    [
      "401",
      (r) => sendJson(r, 401, { error: { message: `bad key ${SECRET}` } }),
      "judge_login",
      "it must accept the request, got 401: bad key ***; set the environment variable",
    ],
    [
      "404",
      (r) => sendJson(r, 404, { error: { message: "no such model" } }),
      "judge_request",
      "got 404: no such model; check base_url, model",
    ],
    ["302", (r) => void r.writeHead(302, { location: "http://127.0.0.1:9/steal" }).end(), "judge_request", "got 302;"],
    ["500 again and again", (r) => sendJson(r, 500, {}), "judge_server", "got 500 after 2 tries; try again later"],
    ["silence", () => undefined, "judge_unreachable", "it must answer, got no answer within 0.1 s after 2 tries; check base_url"],
    [
      "no choices",
      (r) => sendJson(r, 200, { choices: [] }),
      "judge_malformed",
      'its answer must be JSON with choices[0].message.content, got {"choices":[]} after 2 tries',
    ],
  ])("%s ends the run with an error that keeps the key to itself", async (_, reply, code, message) => {
    const server = await serve(() => reply);
    const model = endpoint(server, { api_key_env: "PREFLAB_TEST_KEY", max_tries: 2, timeout_ms: 100 });
    const error: Error = await judge({ ...answers(2), judge: model }).then(
      () => new Error("no error"),
      (caught: Error) => caught,
    );
    expect(error).toMatchObject({ name: "JudgeError", code });
    expect(error.message).toContain(message);
    expect(server.seen[0]!.authorization).toBe(`Bearer ${SECRET}`);
    expect(inspect(error, { depth: 9 }) + inspect(model, { depth: 9, showHidden: true }) + JSON.stringify(model)).not.toContain(SECRET);
  });

  test("a server that is not there", async () => {
    const server = await serve(() => "Tie");
    const gone = endpoint(server, { max_tries: 1 });
    await servers.pop()!.stop();
    await expect(judge({ ...answers(1), judge: gone })).rejects.toMatchObject({ code: "judge_unreachable" });
  });

  test("all judgements are written to CSV and JSON", async () => {
    const output_dir = join(folder, "whole", "deep");
    const server = await serve(byLength);
    const judged = endpoint(server, { api_key_env: "PREFLAB_TEST_KEY" });
    const result = await judge({ ...answers(2), judge: judged, output_dir, name_a: "dpo", name_b: "base" });
    expect((await readdir(output_dir)).sort()).toEqual(["judgements.csv", "judgements.json"]);
    const csv = await readFile(join(output_dir, "judgements.csv"), "utf8");
    const rows: Record<string, string>[] = parse(csv, { columns: true });
    expect(rows).toHaveLength(4);
    expect(rows[1]).toMatchObject({
      prompt: "0",
      first: "base",
      verdict: "Model B",
      winner: "dpo",
      "answer of dpo": answers(2).answers_a[0],
    });
    const json = await readFile(join(output_dir, "judgements.json"), "utf8");
    expect(JSON.parse(json)).toEqual(JSON.parse(JSON.stringify(result)));
    expect(JSON.parse(json)).toMatchObject({ wins: 2, judgements: [{ prompt: 0, first: "a" }, {}, {}, {}] });
    expect(csv + json).not.toContain(SECRET);
  });

  test("if the judge fails midway, what was judged is kept", async () => {
    const output_dir = join(folder, "partial");
    const server = await serve((request, count) => (count > 3 ? (response) => sendJson(response, 400, {}) : byLength(request)));
    const error: Error = await judge({ ...answers(4), judge: endpoint(server, { concurrency: 1 }), output_dir }).then(
      () => new Error("no error"),
      (caught: Error) => caught,
    );
    expect(error).toMatchObject({ code: "judge_request" });
    expect(error.message).toContain(`3 of 8 judgements are in ${join(output_dir, "judgements.partial.json")}`);
    expect(JSON.parse(await readFile(join(output_dir, "judgements.partial.json"), "utf8")).judgements).toHaveLength(3);
  });

  test("a signal ends it", async () => {
    const abort = new AbortController();
    const server = await serve(async () => {
      abort.abort();
      await new Promise((done) => setTimeout(done, 50));
      return "Tie";
    });
    await expect(judge({ ...answers(5), judge: endpoint(server), signal: abort.signal })).rejects.toThrow("abort");
    expect(server.seen.length).toBeLessThan(10);
  });
});

describe("options", () => {
  const own: JudgeModel = { name: "own", concurrency: 1, answer: () => Promise.resolve("Tie") };

  test("a judge of one's own is a function", async () => {
    expect(await judge({ ...answers(1), judge: own })).toMatchObject({ ties: 1, judge: "own" });
  });

  test.each<[string, () => unknown, string, string]>([
    [
      "rows",
      () => judge({ ...answers(2), answers_b: ["x"], judge: own }),
      "rows",
      "judge: there must be at least one prompt and one answer of each side for it, got 2 prompts, 2 and 1 answers",
    ],
    [
      "names",
      () => judge({ ...answers(1), judge: own, name_a: "x", name_b: "x" }),
      "names",
      'judge: name_a and name_b must differ, got "x" twice',
    ],
    ["seed", () => judge({ ...answers(1), judge: own, seed: NaN }), "option_type", "judge: seed must be an integer, got NaN"],
    [
      "a url with a login",
      () => chatEndpoint({ model: "m", base_url: "http://user:pass@host/v1" }),
      "base_url",
      "chatEndpoint: base_url must be an http or https address without login and query, got another; write for example http://127.0.0.1:8000/v1",
    ],
    [
      "no key",
      () => chatEndpoint({ model: "m", base_url: "http://x/v1", api_key_env: "PREFLAB_NO_KEY" }),
      "api_key",
      "chatEndpoint: the environment variable PREFLAB_NO_KEY must hold the key for http://x/v1, got nothing; set it, or pass api_key_env: null for a server without one",
    ],
    [
      "concurrency",
      () => chatEndpoint({ model: "m", base_url: "http://x/v1", concurrency: 0 }),
      "option_range",
      "chatEndpoint: concurrency must be an integer >= 1, got 0",
    ],
  ])("%s", async (_, make, code, message) => {
    await expect((async () => make())()).rejects.toMatchObject({ code, message });
  });

  test("OPENAI_API_KEY goes to the default address only", async () => {
    const server = await serve(() => "Tie");
    process.env["OPENAI_API_KEY"] = SECRET;
    try {
      await judge({ ...answers(1), judge: endpoint(server) });
      expect(server.seen[0]!.authorization).toBeUndefined();
      expect(chatEndpoint({ model: "m" }).name).toBe("m at https://api.openai.com/v1");
    } finally {
      delete process.env["OPENAI_API_KEY"];
    }
    expect(() => chatEndpoint({ model: "m" })).toThrow("the environment variable OPENAI_API_KEY must hold the key");
  });
});

describe("a local model as the judge", () => {
  test("by generation and by likelihood, the same each time", async () => {
    const dir = "datasets/tiny-qwen2-chat";
    const model = await AutoModelForCausalLM.from_pretrained(dir, { threads: 1 });
    const tokenizer = await AutoTokenizer.from_pretrained(dir);
    try {
      const generated = await judge({ ...answers(2), judge: localJudge({ model, tokenizer }) });
      // The tiny model was never taught to judge: it must be caught at that, not made up for.
      expect(generated.judgements.every(({ answers, verdict }) => (verdict === null ? answers.length === 2 : answers.length >= 1))).toBe(
        true,
      );
      expect(generated.invalid).toBe(generated.judgements.filter(({ verdict }) => verdict === null).length);
      const local = localJudge({ model, tokenizer, method: "likelihood" });
      const likely = await judge({ ...answers(3), judge: local });
      expect(likely).toMatchObject({ invalid: 0, counted: 3, judge: `${dir} (local, by likelihood)` });
      expect(JSON.stringify(await judge({ ...answers(3), judge: local }))).toBe(JSON.stringify(likely));
    } finally {
      await model.dispose();
    }
  });
});
