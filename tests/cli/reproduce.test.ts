import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { preflab } from "./command.js";

const GOLDEN = resolve(import.meta.dirname, "../golden");

let folder: string;
let data: string;
let output: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "preflab-reproduce-"));
  data = join(folder, "pairs.jsonl");
  output = join(folder, "run");
  copyFileSync(join(GOLDEN, "pairs.jsonl"), data);
  const result = await preflab([
    ...["dpo", "--model_name_or_path", join(GOLDEN, "tiny-qwen2"), "--dataset_name", data, "--output_dir", output],
    ...["--max_steps", "2", "--logging_steps", "1", "--use_peft", "--learning_rate", "1e-3", "--per_device_train_batch_size", "4"],
  ]);
  expect(result).toMatchObject({ code: 0, stderr: "" });
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

test("a run is repeated: identical, exit code 0", async () => {
  const result = await preflab(["reproduce", output]);
  expect(result).toMatchObject({ code: 0, stderr: "" });
  expect(result.stdout).toContain(`identical: 3 log entries and the weights of 2 steps\nthe repetition is in ${output}-reproduced\n`);
});

test("tampered data is named, exit code 1; with --allow-changes it goes on and is different", async () => {
  const text = readFileSync(data, "utf8");
  writeFileSync(data, text.replaceAll('"chosen": "', '"chosen": "Well: '));
  const again = ["reproduce", output, "--output_dir", join(folder, "changed")];
  const refused = await preflab(again);
  expect(refused).toMatchObject({ code: 1, stdout: "" });
  expect(refused.stderr).toContain(`  training data: ${data} has other content, sha256 `);
  const result = await preflab([...again, "--allow-changes"]);
  writeFileSync(data, text);
  expect(result).toMatchObject({ code: 1, stderr: "" });
  expect(result.stdout).toContain(`changed: training data: ${data} has other content`);
  expect(result.stdout).toMatch(/^different, first at step 1: grad_norm \S+ vs \S+; loss first at step 2: \S+ vs \S+$/m);
});

test.each([
  [[], "preflab reproduce: one RUN_DIR must be given, got none"],
  [["a", "b"], "preflab reproduce: one RUN_DIR must be given, got a b"],
  [["a", "--tolerance", "-1"], "preflab reproduce: --tolerance must be >= 0, got -1"],
  [["a", "--toleranc", "1"], "preflab reproduce: unknown option --toleranc; did you mean --tolerance?"],
])("%j: exit code 2", async (argv, message) => {
  const result = await preflab(["reproduce", ...argv]);
  expect(result).toMatchObject({ code: 2, stdout: "" });
  expect(result.stderr).toContain(message);
});
