import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Message } from "../../src/notebook/wire.js";
import { errorOf, pause, plain, result, Session, streamText, types, until } from "./session.js";

let session: Session;
beforeAll(async () => {
  session = await Session.open();
});
afterAll(() => session.close());

describe("results", () => {
  test("the value of the last expression is an execute_result with the execution count", async () => {
    const run = await session.run("const first: number = 20;\nfirst + 1;\nfirst * 2 + 2");
    expect(types(run)).toEqual(["execute_result"]);
    expect(run.outputs[0]!.content).toEqual({
      data: { "text/plain": "42" },
      metadata: {},
      execution_count: run.reply.content.execution_count,
    });
    expect(run.reply.content).toMatchObject({ status: "ok", payload: [], user_expressions: {} });
    const input = run.all.find(({ message }) => message.header.msg_type === "execute_input")!.message;
    expect(input.content.execution_count).toBe(run.reply.content.execution_count);
  });

  test("counts go up by one; silent cells and cells without history do not count", async () => {
    const count = async (content = {}): Promise<number> => (await session.run("1", content)).reply.content.execution_count as number;
    const before = await count();
    expect(await count({ silent: true })).toBe(before);
    expect(await count({ store_history: false })).toBe(before);
    expect(await count()).toBe(before + 1);
    expect(types(await session.run("1", { silent: true }))).toEqual([]);
  });

  test.each([
    ["undefined", undefined],
    ["null", undefined],
    ["0", "0"],
    ["''", "''"],
    ["false", "false"],
    ["[1, 'a', { b: null }]", "[ 1, 'a', { b: null } ]"],
    ["new Map([[1, 2]])", "Map(1) { 1 => 2 }"],
    ["const noValue = 5", undefined],
    ["if (true) { 7 }", undefined],
    ["", undefined],
    ["   \n// only a comment", undefined],
  ])("%s shows %s", async (code, shown) => {
    const run = await session.run(code);
    expect(run.reply.content.status).toBe("ok");
    expect(plain(run)).toBe(shown);
  });

  test.each([
    ["await Promise.resolve(1)", "1"],
    ["await (Promise.resolve(2))", "2"],
    ["await (async () => { return 3; })()", "3"],
    ["let sum = 0; for await (const value of [1, Promise.resolve(3)]) sum += value; sum", "4"],
    ["const [a5, b5] = await Promise.all([2, 3]); a5 + b5", "5"],
    ["[await Promise.resolve(6)][0]", "6"],
    ["`${await Promise.resolve(7)}`", "'7'"],
    ["(function () { const await_ = 8; return await_; })()", "8"],
    ["if (await Promise.resolve(true)) { console.log(9) }\n9", "9"],
  ])("top-level await: %s", async (code, shown) => {
    const run = await session.run(code);
    expect(run.reply.content).toMatchObject({ status: "ok" });
    expect(plain(run)).toBe(shown);
  });

  test("names of earlier cells in shorthand properties, read and written", async () => {
    await session.run("let rate = 1; const unit = 'nats'; function area() { return 7; }");
    expect(
      plain(
        await session.run(
          "const options = { rate, unit, area, inner: [{ rate }] }; options.rate + options.unit + options.area() + options.inner[0].rate",
        ),
      ),
    ).toBe("'1nats71'");
    expect(plain(await session.run("({ rate } = { rate: 5 }); ({ rate = rate + 1 } = {} as { rate?: number }); rate"))).toBe("6");
    expect(plain(await session.run("((rate: number) => ({ rate }))(9).rate"))).toBe("9");
  });

  test("properties in patterns are no variables of earlier cells, whatever cell declared their type", async () => {
    await session.run("const runs = [{ name: 'a', result: { report: { n: 2 } } }];");
    const code =
      "const table = { all: runs.map(({ name, result: { report } }) => ({ name, ...report })) }; table.all[0].name + table.all[0].n";
    expect(plain(await session.run(code))).toBe("'a2'");
    expect(plain(await session.run("const { all: [{ name: first, n: number = 0 }] } = table; first + number"))).toBe("'a2'");
  });

  test("names of earlier cells keep their types, and may be declared again", async () => {
    await session.run(
      "interface Pair { chosen: string }\nconst pair: Pair = { chosen: 'yes' };\nlet steps = 1;\nfunction twice(x: number) { return 2 * x; }",
    );
    expect(plain(await session.run("steps = twice(steps); pair.chosen + steps"))).toBe("'yes2'");
    expect(errorOf(await session.run("twice('no')")).evalue).toContain("not assignable to parameter of type 'number'");
    await session.run("const steps = 'now text';");
    expect(plain(await session.run("steps.length"))).toBe("8");
  });
});

describe("errors", () => {
  test("a thrown error is an error message and an error reply with the same fields, pointing at the line", async () => {
    const run = await session.run(
      "function fail(beta: number): number {\n  if (beta <= 0) throw new RangeError(`beta must be > 0, got ${beta}`);\n  return beta;\n}\n\nfail(-1)",
    );
    const error = errorOf(run);
    const count = run.reply.content.execution_count as number;
    expect(error).toMatchObject({ ename: "RangeError", evalue: "beta must be > 0, got -1" });
    expect(run.reply.content).toMatchObject({ status: "error", ename: error.ename, evalue: error.evalue });
    expect((run.reply.content.traceback as string[]).join("\n")).toBe(error.traceback);
    expect(error.traceback).toContain(`at fail (cell[${count}].ts:2:24)`);
    expect(error.traceback).toContain(`at cell[${count}].ts:6:1`);
    expect(error.traceback).toContain("> 2 |   if (beta <= 0) throw new RangeError(");
    expect(error.traceback).not.toMatch(/tslab|kernel-ext|node:/);
    expect(streamText(run, "stderr")).toBe("");
  });

  test("a frame in a function of an earlier cell names that cell", async () => {
    const first = await session.run("// a comment\nfunction deep() { return (undefined as any).x; }");
    const second = await session.run("\n\nawait (async () => deep())()");
    const { traceback } = errorOf(second);
    expect(traceback).toContain(`at deep (cell[${String(first.reply.content.execution_count)}].ts:2:`);
    expect(traceback).toContain(`at cell[${String(second.reply.content.execution_count)}].ts:3:20`);
  });

  test("a type error has the same form, points at the place, and nothing of the cell runs", async () => {
    const run = await session.run("console.log('ran');\nconst rate: number = 'fast';");
    const error = errorOf(run);
    expect(error.ename).toBe("TypeScriptError");
    expect(error.evalue).toBe(
      `cell[${String(run.reply.content.execution_count)}].ts:2:7 - TS2322: Type 'string' is not assignable to type 'number'.`,
    );
    expect(error.traceback).toContain("> 2 | const rate: number = 'fast';\n    |       ^^^^");
    expect(types(run)).toEqual(["error"]);
  });

  test("a syntax error is named so", async () => {
    expect(errorOf(await session.run("const x = (1 + ;")).ename).toBe("SyntaxError");
  });

  test("causes and codes of this package's errors are shown; a thrown value that is no Error too", async () => {
    const run = await session.run(
      "import { ConfigError } from 'preflab';\nthrow new ConfigError('bad_beta', 'beta: must be > 0', { cause: new Error('inner') });",
    );
    expect(errorOf(run).traceback).toMatch(/^ConfigError \[bad_beta\]: beta: must be > 0\n[\s\S]*Caused by: Error: inner/);
    expect(errorOf(run).traceback).not.toContain("What to do");
    const own = await session.run("import { DPOConfig } from 'preflab';\nnew DPOConfig({ output_dir: 'x', beta: -1 });");
    const { evalue, traceback } = errorOf(own);
    expect(traceback.split("\n").at(-1)).toBe(`What to do: ${evalue.split("; ").at(-1)}`);
    expect(errorOf(await session.run("throw 'just text'"))).toMatchObject({ ename: "UncaughtValue", evalue: "just text" });
  });

  test("a rejection that nobody handles fails the cell", async () => {
    expect(errorOf(await session.run("Promise.reject(new TypeError('lost'));\n'value'"))).toMatchObject({
      ename: "TypeError",
      evalue: "lost",
    });
    expect(errorOf(await session.run("async function late() { await null; throw new Error('later'); }\nlate();"))).toMatchObject({
      evalue: "later",
    });
    const handled = await session.run(
      "const p = Promise.reject(new Error('seen')); await new Promise((r) => setTimeout(r, 20)); await p.catch(() => 'handled')",
    );
    expect(plain(handled)).toBe("'handled'");
  });

  test("an error in a timer fails the cell that waits, and one after its end goes to its stderr", async () => {
    expect(
      errorOf(await session.run("setTimeout(() => { throw new Error('tick') }, 5);\nawait new Promise((r) => setTimeout(r, 2000));")),
    ).toMatchObject({ evalue: "tick" });
    const late: Message[] = [];
    const stop = session.client.listen((message) => void (message.header.msg_type === "stream" && late.push(message)));
    const run = await session.run("setTimeout(() => { throw new Error('too late') }, 100); 'ok'");
    expect(plain(run)).toBe("'ok'");
    await until("late error", () => late.length > 0);
    stop();
    expect(late[0]!.content).toMatchObject({ name: "stderr" });
    expect(late[0]!.content.text).toContain("too late");
    expect(late[0]!.parent_header.msg_id).toBe(run.reply.parent_header.msg_id);
  });

  test("cells queued behind a failing one are aborted; with stop_on_error false they run; later ones always run", async () => {
    const queue = (stop_on_error: boolean): Promise<string[]> =>
      Promise.all(
        [
          session.run("await new Promise((r) => setTimeout(r, 50)); throw new Error('first')", { stop_on_error }),
          session.run("1"),
          session.run("2"),
        ].map(async (run) => (await run).reply.content.status as string),
      );
    expect(await queue(true)).toEqual(["error", "aborted", "aborted"]);
    expect((await session.run("3")).reply.content.status).toBe("ok"); // sent at once after the error
    expect(await queue(false)).toEqual(["error", "ok", "ok"]);
  });
});

describe("streams", () => {
  test("stdout, stderr, displays and the result keep the order of the program", async () => {
    const run = await session.run(
      "import * as tslab from 'tslab';\nconsole.log('a');\nconsole.error('b');\ntslab.display.html('<i>c</i>');\nprocess.stdout.write('d');\nconsole.log('e');\n'f'",
    );
    expect(run.outputs.map(({ header, content }) => [header.msg_type, content.name ?? "", content.text ?? ""])).toEqual([
      ["stream", "stdout", "a\n"],
      ["stream", "stderr", "b\n"],
      ["display_data", "", ""],
      ["stream", "stdout", "de\n"],
      ["execute_result", "", ""],
    ]);
  });

  test("20,000 lines arrive complete, in order and before the reply", async () => {
    const run = await session.run("for (let i = 0; i < 20_000; i++) console.log(`line ${i}`);\nconsole.error('end')");
    expect(streamText(run)).toBe(Array.from({ length: 20_000 }, (_, i) => `line ${i}\n`).join(""));
    expect(streamText(run, "stderr")).toBe("end\n");
    expect(run.outputs.length).toBeLessThan(50);
    expect(run.all.filter(({ channel }) => channel === "iopub").at(-1)!.message.content.execution_state).toBe("idle");
  });

  test("a loop that blocks is heard while it runs", async () => {
    let heardAfterMs = Infinity;
    const started = performance.now();
    await session.run(
      "console.log('begin'); { const end = performance.now() + 1500; while (performance.now() < end); }",
      {},
      {
        onMessage: (message) => {
          if (message.header.msg_type === "stream") heardAfterMs = Math.min(heardAfterMs, performance.now() - started);
        },
      },
    );
    expect(heardAfterMs).toBeLessThan(1_000);
  });

  test("text is whole characters, also when bytes are written in pieces", async () => {
    const run = await session.run(
      "const bytes = Buffer.from('سلام 😀\\n'); for (const byte of bytes) process.stdout.write(Uint8Array.of(byte));\nprocess.stdout.write('e9', 'hex' as BufferEncoding, () => console.log('written')); await new Promise((r) => setTimeout(r, 10))",
    );
    expect(streamText(run)).toMatch(/^سلام 😀\n.written\n$/u);
  });

  test("output of child processes and native code belongs to the cell", async () => {
    const run = await session.run(
      "import { spawnSync } from 'node:child_process';\nspawnSync('sh', ['-c', 'seq 1 3000; echo problem >&2'], { stdio: 'inherit' }).status",
    );
    expect(streamText(run)).toBe(Array.from({ length: 3000 }, (_, i) => `${i + 1}\n`).join(""));
    expect(streamText(run, "stderr")).toBe("problem\n");
    expect(plain(run)).toBe("0");
  });

  test("late output names the cell that caused it, also while another cell runs", async () => {
    const streams: Message[] = [];
    const stop = session.client.listen((message) => void (message.header.msg_type === "stream" && streams.push(message)));
    const first = await session.run(
      "setTimeout(() => console.log('from the timer'), 150);\n(async () => { await new Promise((r) => setTimeout(r, 400)); console.log('from the promise'); })();\nundefined",
    );
    const second = await session.run("console.log('second');\nawait new Promise((r) => setTimeout(r, 800));\nconsole.log('second still')");
    stop();
    const owner = new Map([
      [first.reply.parent_header.msg_id, "first"],
      [second.reply.parent_header.msg_id, "second"],
    ]);
    expect(streams.map((message) => [owner.get(message.parent_header.msg_id), message.content.text])).toEqual([
      ["second", "second\n"],
      ["first", "from the timer\n"],
      ["first", "from the promise\n"],
      ["second", "second still\n"],
    ]);
  });

  test("clear_output is passed on", async () => {
    const run = await session.run(
      "import { clear_output } from 'preflab'; console.log('old'); clear_output({ wait: true }); console.log('new')",
    );
    expect(run.outputs.map(({ header, content }) => [header.msg_type, content.wait])).toEqual([
      ["stream", undefined],
      ["clear_output", true],
      ["stream", undefined],
    ]);
  });
});

describe("stdin", () => {
  test("input() asks the front end and gets its answer", async () => {
    const stop = session.client.listen((message, channel) => {
      if (channel !== "stdin" || message.header.msg_type !== "input_request") return;
      expect(message.content).toEqual({ prompt: "name? ", password: false });
      session.client.send("stdin", "input_reply", { status: "ok", value: "سلمى" }, message.header);
    });
    const run = await session.run("import { input } from 'preflab'; `hello ${await input('name? ')}`", { allow_stdin: true });
    stop();
    expect(plain(run)).toBe("'hello سلمى'");
  });

  test("without a front end that answers it fails at once; reading process.stdin ends instead of hanging", async () => {
    expect(errorOf(await session.run("await input('name? ')"))).toMatchObject({ ename: "ConfigError" });
    expect(plain(await session.run("let read = ''; for await (const chunk of process.stdin) read += chunk; read"))).toBe("''");
  });
});

describe("rich display", () => {
  test("Jupyter.display gives one bundle, synchronous or not", async () => {
    for (const method of [
      "() => ({ 'text/html': '<b>x</b>', 'text/plain': 'x' })",
      "async () => { await null; return { 'text/html': '<b>x</b>', 'text/plain': 'x' }; }",
    ]) {
      const run = await session.run(`({ [Symbol.for('Jupyter.display')]: ${method} })`);
      expect(types(run)).toEqual(["execute_result"]);
      expect(result(run)).toEqual({ "text/html": "<b>x</b>", "text/plain": "x" });
    }
    expect(result(await session.run("({ [Symbol.for('Jupyter.display')]: () => ({ 'image/png': Uint8Array.of(1, 2, 3) }) })"))).toEqual({
      "image/png": "AQID",
    });
  });

  test("a display that fails or returns nonsense is an error of the cell", async () => {
    expect(errorOf(await session.run("({ [Symbol.for('Jupyter.display')]: () => { throw new Error('cannot draw') } })")).evalue).toBe(
      "cannot draw",
    );
    expect(errorOf(await session.run("({ [Symbol.for('Jupyter.display')]: () => 'text' })")).evalue).toContain(
      "must return an object of MIME type → content, got 'text'",
    );
  });

  test("display() shows before the cell ends and its handle updates in place, awaited or not", async () => {
    const run = await session.run(
      "import { display } from 'preflab';\nconst handle = await display({ [Symbol.for('Jupyter.display')]: () => ({ 'text/html': '1' }) });\nawait handle.update('two');\ndisplay({ [Symbol.for('Jupyter.display')]: async () => ({ 'text/plain': 'slow' }) });\nundefined",
    );
    expect(types(run)).toEqual(["display_data", "update_display_data", "display_data"]);
    const [first, second, third] = run.outputs.map((message) => message.content as { data: unknown; transient: { display_id: string } });
    expect(first!.data).toEqual({ "text/html": "1" });
    expect(second!.transient.display_id).toBe(first!.transient.display_id);
    expect(third!.data).toEqual({ "text/plain": "slow" });
    expect(third!.transient.display_id).not.toBe(first!.transient.display_id);
  });

  test("tslab's display API works in cells", async () => {
    const run = await session.run(
      "import * as tslab from 'tslab';\ntslab.display.markdown('# t');\ntslab.display.png(Uint8Array.of(1, 2, 3));\nconst slot = tslab.newDisplay();\nslot.text('1');\nslot.html('2');",
    );
    expect(run.outputs.map(({ header, content }) => [header.msg_type, content.data])).toEqual([
      ["display_data", { "text/markdown": "# t" }],
      ["display_data", { "image/png": "AQID" }],
      ["display_data", { "text/plain": "1" }],
      ["update_display_data", { "text/html": "2" }],
    ]);
  });

  test("danfojs frames and series are tables, with nulls, both writing directions and no markup from the data", async () => {
    const run = await session.run(
      "import * as dfd from 'danfojs-node';\nconst frame = new dfd.DataFrame([{ prompt: 'كم عمرك؟', score: 1.5, note: null }, { prompt: '<script>alert(1)</script>', score: null, note: 'x' }]);\nframe",
    );
    const bundle = result(run)!;
    expect(bundle["text/html"]).toContain('<td dir="rtl"');
    expect(bundle["text/html"]).toContain("كم عمرك؟");
    expect(bundle["text/html"]).toContain("&lt;script&gt;");
    expect(String(bundle["text/html"]).match(/>null</g)).toHaveLength(2);
    expect(bundle["text/plain"]).toContain("2 rows × 3 columns");
    expect(types(run)).toEqual(["execute_result"]); // no banner, no warning
    expect(plain(await session.run("frame['score']"))).toContain("Series: 2 rows");
  });

  test("TensorFlow.js tensors show shape, type and first values, without a banner on stderr", async () => {
    const run = await session.run(
      "import * as tf from '@tensorflow/tfjs';\nconst tensor = tf.range(0, 12).reshape([3, 4]).div(8);\nconsole.error('kept');\ntensor",
    );
    expect(plain(run)).toBe(
      "Tensor [3, 4] float32\nmin 0, max 1.3750, mean 0.68750, std 0.43151\n[0, 0.12500, 0.25000, 0.37500, 0.50000, 0.62500, 0.75000, 0.87500, 1, 1.1250, … 2 more]",
    );
    expect(streamText(run, "stderr")).toBe("kept\n");
    expect(plain(await session.run("tensor.dispose(); tensor"))).toBe("Tensor [3, 4] float32 (disposed)");
  });
});

test("the session is still the same process at the end", async () => {
  await pause(0);
  expect(plain(await session.run("twice(4) + pair.chosen"))).toBe("'8yes'"); // of the first describe
});
