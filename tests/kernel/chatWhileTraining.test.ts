/** Two users chat with an app that a cell serves, at once, while a later cell trains. */
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { Client } from "@gradio/client";
import { afterAll, beforeAll, expect, test } from "vitest";
import { errorOf, plain, Session, streamText, until } from "./session.js";

const MODEL = JSON.stringify(resolve(import.meta.dirname, "../../datasets/tiny-qwen2-chat"));
const QUESTIONS = ["Are you human?", "What is the capital of Australia?"];

let session: Session;
beforeAll(async () => {
  session = await Session.open();
});
afterAll(() => session.close());

async function value(code: string): Promise<string> {
  const run = await session.run(code, {}, { timeoutMs: 100_000 });
  if (run.reply.content.status !== "ok") throw new Error(errorOf(run).traceback);
  return String(plain(run));
}

test("all three finish; the answers and the training's result are those of each alone", async () => {
  await value(`import { AutoModelForCausalLM, AutoTokenizer, ChatInterface, Dataset, DPOConfig, DPOTrainer, get_peft_model, LoraConfig } from "preflab";
const tokenizer = await AutoTokenizer.from_pretrained(${MODEL});
const pair = (n: number) => ({ prompt: [{ role: "user", content: "Question " + n }], chosen: [{ role: "assistant", content: "Yes." }], rejected: [{ role: "assistant", content: "No, never." }] });
async function trainInto(output_dir: string) {
  const model = await AutoModelForCausalLM.from_pretrained(${MODEL});
  const args = new DPOConfig({ output_dir, max_steps: 40, learning_rate: 1e-3, logging_steps: 10, per_device_train_batch_size: 2, save_strategy: "no" });
  const trainer = new DPOTrainer({ model, args, train_dataset: Dataset.from_rows([1, 2, 3, 4, 5, 6].map(pair)), processing_class: tokenizer, peft_config: new LoraConfig({ r: 4 }) });
  console.log("training begins");
  await trainer.train();
  await trainer.save_model();
  console.log("trained");
}
await trainInto("alone");`);
  const url = (
    await value(`const asked = await AutoModelForCausalLM.from_pretrained(${MODEL});
const { url } = await new ChatInterface({ model: asked, tokenizer }).launch({ server_port: 0, quiet: true, requests_per_minute: null });
url`)
  ).replaceAll("'", "");
  const ask = async (question: string): Promise<string> => {
    const client = await Client.connect(url);
    const { data } = await client.predict("/chat", { message: question, max_new_tokens: 24 });
    client.close();
    return (data as [string])[0];
  };
  const expected: string[] = [];
  for (const question of QUESTIONS) expected.push(await ask(question));
  expect(new Set(expected).size).toBe(2);

  let printed = "";
  let ended = false;
  const training = session
    .run(
      `await trainInto("together")`,
      {},
      {
        timeoutMs: 100_000,
        onMessage: ({ header, content }) => void (header.msg_type === "stream" && (printed += String(content.text))),
      },
    )
    .finally(() => (ended = true));
  await until("the training begins", () => printed.includes("training begins"), 60_000);
  // Each user asks one question after the other, both at once, as long as the training goes on.
  const chat = async (question: string): Promise<string[]> => {
    const answers: string[] = [];
    do answers.push(await ask(question));
    while (!ended && answers.length < 1_000);
    return answers;
  };
  const conversations = await Promise.all(QUESTIONS.map(chat));
  expect(streamText(await training)).toContain("trained\n");
  conversations.forEach((answers, user) => {
    // The first came while it trained.
    expect(answers.length).toBeGreaterThan(1);
    expect(new Set(answers)).toEqual(new Set([expected[user]]));
  });
  const [alone, together] = ["alone", "together"].map((folder) => readFileSync(join(session.cwd, folder, "adapter_model.safetensors")));
  expect(alone!.length).toBeGreaterThan(1_000);
  expect(together!.equals(alone!)).toBe(true);
});
