import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { preflab } from "./command.js";

const GOLDEN = resolve(import.meta.dirname, "../golden");
const MODEL = ["--model_name_or_path", join(GOLDEN, "tiny-qwen2")];
const readJson = (name: string) => JSON.parse(readFileSync(join(GOLDEN, name), "utf8"));
const generate = (...argv: string[]) => preflab(["generate", ...MODEL, ...argv]);
const lines = (stdout: string) =>
  stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));

describe("preflab generate", () => {
  test("--json: one object a prompt, with transformers' greedy continuations", async () => {
    const { prompts } = readJson("generate.json");
    const flags = prompts.flatMap(({ text }: { text: string }) => ["--prompt", text]);
    const result = await generate(...flags, "--max_new_tokens", "24", "--eos_token_id", "none", "--json");
    expect(result).toMatchObject({ code: 0, stderr: "" });
    const objects = lines(result.stdout);
    expect(objects).toHaveLength(prompts.length);
    for (const [i, { text, ids, runs }] of prompts.entries()) {
      const run = runs.find(
        (candidate: { repetition_penalty: number; eos_token_id: unknown }) =>
          candidate.repetition_penalty === 1 && candidate.eos_token_id === null,
      );
      expect(objects[i]).toMatchObject({ prompt: text, prompt_ids: ids, new_ids: run.new_ids });
      expect(objects[i].tokens_per_second).toBeGreaterThan(0);
      expect(Object.keys(objects[i])).toEqual(["prompt", "prompt_ids", "new_ids", "text", "tokens_per_second"]);
    }
  });

  test("end ids and repetition_penalty reach the sampler", async () => {
    const { prompts } = readJson("generate.json");
    const { text, runs } = prompts[0];
    const penalised = runs.find((run: { repetition_penalty: number }) => run.repetition_penalty === 1.3);
    const [object] = lines(
      (await generate("--prompt", text, "--max_new_tokens", "24", "--eos_token_id", "none", "--repetition_penalty", "1.3", "--json"))
        .stdout,
    );
    expect(object.new_ids).toEqual(penalised.new_ids);
    const stopped = runs.find((run: { eos_token_id: unknown }) => Array.isArray(run.eos_token_id));
    const [short] = lines(
      (await generate("--prompt", text, "--max_new_tokens", "24", "--eos_token_id", ...stopped.eos_token_id.map(String), "--json")).stdout,
    );
    expect(short.new_ids).toEqual(stopped.new_ids);
  });

  test("--dtype rounds the weights, and names what there is", async () => {
    const flags = ["--prompt", "The soup", "--max_new_tokens", "3", "--eos_token_id", "none", "--json"];
    const [object] = lines((await generate(...flags, "--dtype", "q8")).stdout);
    expect(object.new_ids).toHaveLength(3);
    const refused = await generate(...flags, "--dtype", "q5");
    expect(refused.code).not.toBe(0);
    expect(refused.stderr).toContain('--dtype must be one of fp32, q8, q4, got "q5"');
  });

  test("--chat is the chat template with the generation prompt", async () => {
    const [object] = lines((await generate("--prompt", "Hello", "--chat", "--max_new_tokens", "1", "--json")).stdout);
    const { AutoTokenizer } = await import("../../src/text/index.js");
    const tokenizer = await AutoTokenizer.from_pretrained(join(GOLDEN, "tiny-qwen2"));
    expect(object.prompt_ids).toEqual(tokenizer.apply_chat_template([{ role: "user", content: "Hello" }], { add_generation_prompt: true }));
    expect(tokenizer.decode(object.prompt_ids, { skip_special_tokens: false })).toContain("<|im_start|>assistant");
  });

  test("without --json the text itself, and with several prompts each under its prompt", async () => {
    const [one, two] = lines((await generate("--prompt", "Why", "--prompt", "-- and how", "--max_new_tokens", "6", "--json")).stdout);
    expect((await generate("--prompt", "Why", "--max_new_tokens", "6")).stdout).toBe(`${one.text}\n`);
    expect((await generate("--prompt", "Why", "--prompt", "-- and how", "--max_new_tokens", "6")).stdout).toBe(
      `> Why\n${one.text}\n> -- and how\n${two.text}\n`,
    );
  });

  test("a temperature turns drawing on; the seed decides, and an adapter changes the text", async () => {
    const draw = async (...argv: string[]) =>
      lines((await generate("--prompt", "The soup", "--max_new_tokens", "12", "--json", ...argv)).stdout)[0].new_ids;
    const greedy = await draw();
    const first = await draw("--temperature", "1.5", "--seed", "1");
    expect(await draw("--temperature", "1.5", "--seed", "1")).toEqual(first);
    expect(await draw("--temperature", "1.5", "--seed", "2")).not.toEqual(first);
    expect(first).not.toEqual(greedy);
    expect(await draw("--adapter", join(GOLDEN, "lora_final"))).not.toEqual(greedy);
  });

  test.each<[string[], number, string]>([
    [["--prompt", "a", "--temperature", "0"], 2, "preflab generate: --temperature must be > 0, got 0; the default is 1"],
    [["--prompt", "a", "--top_p", "0.5", "--do_sample", "false"], 2, "preflab generate: --top_p needs --do_sample, got --do_sample false"],
    [["--prompt", "a", "--temprature", "1"], 2, "preflab generate: unknown option --temprature; did you mean --temperature?"],
    [[], 2, "preflab generate: --prompt must be given; A prompt; repeat for more"],
    [["--prompt", ""], 1, "generate: the prompt must have at least one token, got none; use a chat template or a start token"],
  ])("%j: exit code %i", async (argv, code, message) => {
    const result = await generate(...argv);
    expect(result).toMatchObject({ code, stdout: "" });
    expect(result.stderr.split("\n")[0]).toBe(message);
  });
});
