import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { loadCommands } from "../../src/cli/main.js";
import { preflab } from "./command.js";

const COMMANDS = await loadCommands();
const GOLDEN = resolve(import.meta.dirname, "../golden");
const MODEL = ["--model_name_or_path", join(GOLDEN, "tiny-qwen2")];
const DATA = ["--dataset_name", join(GOLDEN, "pairs.jsonl")];

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "preflab-cli-"));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});
const write = (name: string, text: string): string => {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
};

describe("help and version", () => {
  test("--version is package.json's", async () => {
    const { version } = JSON.parse(readFileSync(resolve(import.meta.dirname, "../../package.json"), "utf8"));
    expect(await preflab(["--version"])).toMatchObject({ code: 0, stdout: `${version}\n`, stderr: "" });
  });

  test("--help lists the commands; no command is an error that lists them too", async () => {
    const help = await preflab(["--help"]);
    expect(help).toMatchObject({ code: 0, stderr: "" });
    for (const { name } of COMMANDS) expect(help.stdout).toMatch(new RegExp(`^  ${name} `, "m"));
    expect(await preflab([])).toMatchObject({ code: 2, stdout: "", stderr: help.stdout });
  });

  test.each(COMMANDS.map((command) => [command.name, command] as const))(
    "%s --help shows every flag of its tables",
    async (name, command) => {
      const help = await preflab([name, "--help"]);
      expect(help).toMatchObject({ code: 0, stderr: "" });
      expect(help.stdout.startsWith(`preflab ${name}`)).toBe(true);
      for (const table of command.tables)
        for (const flag of table.specs.keys()) expect(help.stdout).toMatch(new RegExp(`^  (-\\w, )?--${flag}\\b`, "m"));
    },
  );
});

describe("a wrong command line: exit code 2, the message on stderr, nothing on stdout", () => {
  test.each<[string[], string | RegExp]>([
    [["dop"], "preflab: unknown command dop; did you mean dpo?"],
    [["dpo", ...MODEL, ...DATA, "--learning_rat", "1"], "preflab dpo: unknown option --learning_rat; did you mean --learning_rate?"],
    [["dpo", ...MODEL, ...DATA, "--lora_rank", "4"], "preflab dpo: unknown option --lora_rank; did you mean --lora_r?"],
    [["dpo", ...MODEL, ...DATA, "--beta", "-0.1"], "preflab dpo: --beta must be > 0, got -0.1; the default is 0.1"],
    [
      ["dpo", ...MODEL, ...DATA, "--max_steps", "many"],
      'preflab dpo: --max_steps must be -1 (num_train_epochs decides) or an integer >= 1, got "many"; the default is -1',
    ],
    [
      ["dpo", ...MODEL, ...DATA, "--loss_type", "sigmod"],
      'preflab dpo: --loss_type must be one of sigmoid, hinge, ipo, exo_pair, nca_pair, robust, bco_pair, sppo_hard, aot, aot_unpaired, apo_zero, apo_down, discopop, sft, sigmoid_norm, got "sigmod"; the default is ["sigmoid"]',
    ],
    [
      ["dpo", ...MODEL, ...DATA, "--lora_target_modules", "q_pro"],
      /^preflab dpo: --lora_target_modules must be names that end in q_proj, .*, or "all-linear", or a regular expression or null, got "q_pro"; the default is null$/,
    ],
    [["dpo", ...MODEL, ...DATA, "--lora_r", "4"], "preflab dpo: --lora_r needs --use_peft; without it all weights are trained"],
    [
      ["dpo", ...MODEL, ...DATA, "--dataset_test_split", "dev"],
      "preflab dpo: --dataset_test_split needs --eval_strategy steps or epoch, got no",
    ],
    [["dpo", ...MODEL, ...DATA, "--deepspeed", "x.json"], "preflab dpo: --deepspeed is not offered; one process trains on one machine"],
    [
      ["dpo", ...MODEL],
      "preflab dpo: --dataset_name must be given; Preference rows: a .jsonl, .json, .csv, .parquet or .xlsx file, a folder of them, or an id on the Hugging Face Hub",
    ],
    [["dpo", ...MODEL, ...DATA, "extra"], "preflab dpo: unexpected extra; flags are written --name value"],
    [["dpo", ...MODEL, ...DATA, "--config", "no-such.yaml"], /^--config no-such\.yaml: the file cannot be read; ENOENT/],
    [["doctor", "--jsn"], "preflab doctor: unknown option --jsn; did you mean --json?"],
  ])("%j", async (argv, message) => {
    const result = await preflab(argv);
    expect(result).toMatchObject({ code: 2, stdout: "" });
    const [line, ...rest] = result.stderr.trimEnd().split("\n");
    if (message instanceof RegExp) expect(line).toMatch(message);
    else expect(line).toBe(message);
    expect(rest).toEqual(argv[0] === "dop" ? [] : [`See preflab ${argv[0]} --help`]);
  });

  test("a config file: its errors name the file", async () => {
    const bad = write("bad.yaml", "beta: 0\n");
    expect((await preflab(["dpo", ...MODEL, ...DATA, "--config", bad])).stderr).toContain(
      `${bad}: beta must be > 0, got 0; the default is 0.1\n`,
    );
    const typo = write("typo.yaml", "bta: 1\n");
    const result = await preflab(["dpo", ...MODEL, ...DATA, "--config", typo]);
    expect(result.code).toBe(2);
    expect(result.stderr).toContain(`${typo}: unknown option bta; did you mean beta?\n`);
  });
});

describe("a failure while running: exit code 1", () => {
  const argv = ["dpo", "--model_name_or_path", "no-such-model", ...DATA];

  test("the message alone", async () => {
    const result = await preflab(argv);
    expect(result).toMatchObject({ code: 1, stdout: "" });
    expect(result.stderr).toContain("no-such-model");
    expect(result.stderr).not.toMatch(/^\s+at /m);
  });

  test.each([
    ["dpo", ...DATA],
    ["generate", "--prompt", "hi"],
  ])("%s: a name that is no path is a Hub id", async (...argv) => {
    const result = await preflab([...argv, "--model_name_or_path", "nobody/no-such-model"], {
      env: { HF_HUB_OFFLINE: "1", HF_HUB_CACHE: folder },
    });
    expect(result).toMatchObject({ code: 1, stdout: "" });
    expect(result.stderr).toMatch(/^Hub nobody\/no-such-model: /);
  });

  test("PREFLAB_DEBUG=1 adds the stack", async () => {
    expect((await preflab(argv, { env: { PREFLAB_DEBUG: "1" } })).stderr).toMatch(/^\s+at .*\.js:\d+/m);
    expect((await preflab(argv, { env: { PREFLAB_DEBUG: "0" } })).stderr).not.toMatch(/^\s+at /m);
  });
});

describe("doctor", () => {
  test("--json: every backend, and the one that all training needs works", async () => {
    const result = await preflab(["doctor", "--json"]);
    const { backends, machine, hub } = JSON.parse(result.stdout);
    expect(backends.map(({ id }: { id: string }) => id)).toEqual([
      "onnxruntime-cpu",
      "onnxruntime-webgpu",
      "onnxruntime-cuda",
      "tfjs-tensorflow-gpu",
      "tfjs-tensorflow",
      "tfjs-webgpu",
      "tfjs-wasm",
      "tfjs-cpu",
    ]);
    for (const found of backends)
      expect(
        found.status === "works" ? found.speed > 0 && found.choose : found.reason && found.install,
        JSON.stringify(found),
      ).toBeTruthy();
    expect(backends[0].status).toBe("works");
    expect(backends.at(-1).status).toBe("works");
    expect(machine.node).toBe(process.versions.node);
    expect(hub).toHaveProperty("source");
    expect(result.code).toBe(0);
  });

  test("the table says what to do for what is missing, and never shows a token", async () => {
    const result = await preflab(["doctor"], { env: { HF_TOKEN: "hf_not-a-real-token" } });
    expect(result.code).toBe(0);
    expect(result.stdout).toMatch(/^ {2}ONNX Runtime CPU\s+ok\s+[\d.]+ GFLOP\/s/m);
    expect(result.stdout).toContain("token from HF_TOKEN");
    expect(result.stdout + result.stderr).not.toContain("hf_not-a-real-token");
  });
});
