import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { randomModel } from "../notebook/randomModel.js";
import { errorOf, plain, Session, streamText, until, type CellRun } from "./session.js";

let session: Session;
let model: string;
beforeAll(async () => {
  model = await randomModel();
  session = await Session.open();
  await session.run(`import { AutoModelForCausalLM, AutoTokenizer, Dataset, DPOConfig, DPOTrainer } from "preflab";
const model = await AutoModelForCausalLM.from_pretrained(${JSON.stringify(model)});
const tokenizer = await AutoTokenizer.from_pretrained(${JSON.stringify(model)});
const pair = (n: number) => ({ prompt: [{ role: "user", content: "Question " + n }], chosen: [{ role: "assistant", content: "Yes." }], rejected: [{ role: "assistant", content: "No, never." }] });
const train_dataset = Dataset.from_rows([1, 2, 3, 4].map(pair));
function newTrainer(max_steps: number) {
  return new DPOTrainer({ model, args: new DPOConfig({ output_dir: "out", max_steps, logging_steps: 1, save_strategy: "no" }), train_dataset, processing_class: tokenizer });
}`);
});
afterAll(() => session.close());

async function interruptWhen(code: string, text: string): Promise<CellRun> {
  let seen = "";
  const running = session.run(
    code,
    {},
    { timeoutMs: 100_000, onMessage: (message) => void (message.header.msg_type === "stream" && (seen += String(message.content.text))) },
  );
  await until(text, () => seen.includes(text), 60_000);
  await session.client.interrupt();
  return running;
}

test("the stop button ends training after a step, with a checkpoint; the model can be trained on", async () => {
  const run = await interruptWhen("await newTrainer(100_000).train();\nconsole.log('must not be reached')", "step 3/");
  const error = errorOf(run);
  const step = /after step (\d+) of 100000/.exec(error.evalue)![1]!;
  expect(error.traceback).toMatch(/^EngineError \[interrupted\]: DPOTrainer: training was stopped by the interrupt button/);
  expect(streamText(run)).not.toContain("must not be reached");
  expect(existsSync(join(session.cwd, "out", `checkpoint-${step}`, "model.safetensors"))).toBe(true);
  expect(plain(await session.run("(await newTrainer(2).train()).finished"))).toBe("true");
});

test("it ends a long generation too", async () => {
  const run = await interruptWhen(
    "console.log('go'); await model.generate([1, 2, 3], { max_new_tokens: 1000, eos_token_id: null });\nconsole.log('must not be reached')",
    "go",
  );
  expect(errorOf(run).evalue).toBe("generate: stopped by the interrupt button");
  expect(streamText(run)).toBe("go\n");
  expect(plain(await session.run("(await model.generate([1, 2, 3], { max_new_tokens: 2, eos_token_id: null })).length"))).toBe("5");
});

test("training is shown live in one place, with curves and the time left; what it shows last is its end", async () => {
  const run = await session.run("const shown = newTrainer(6); await shown.train(); undefined", {}, { timeoutMs: 100_000 });
  const places = run.outputs.filter(({ header }) => header.msg_type.endsWith("display_data"));
  expect(places[0]!.header.msg_type).toBe("display_data");
  expect(places.slice(1).every(({ header }) => header.msg_type === "update_display_data")).toBe(true);
  expect(new Set(places.map(({ content }) => (content.transient as { display_id: string }).display_id)).size).toBe(1);
  const last = places.at(-1)!.content.data as Record<string, string>;
  expect(last["text/plain"]).toMatch(/^DPOTrainer {2}\[#{24}\] step 6 of 6, finished in 00:\d\d\nFigure\nLoss: train, 6 points/);
  expect(last["text/html"]).toMatch(/aria-valuenow="100.0"[^]*data:image\/svg/);
  expect(plain(await session.run("shown"))).toMatch(/^DPOTrainer {2}\[#{24}\] step 6 of 6, finished\nFigure\n/);
});
