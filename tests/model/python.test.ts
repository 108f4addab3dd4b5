/**
 * What is saved here is loaded by Python's transformers and peft, and the other way round. Runs where a Python with
 * torch, transformers, peft and safetensors is found ($PREFLAB_PYTHON, else python3 on the path); is skipped, with the reason, elsewhere.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readFileTensor } from "../../src/compile/fileTensors.js";
import { hostTensor } from "../../src/compile/index.js";
import { ModelError } from "../../src/errors.js";
import { adapterShapes, openAdapter, saveAdapter } from "../../src/model/adapterFiles.js";
import { openCheckpoint } from "../../src/model/checkpoint.js";
import { saveCheckpoint, type NamedTensor } from "../../src/model/checkpointWriter.js";
import { parseConfig } from "../../src/model/config.js";
import { defaultGenerationConfig } from "../../src/model/generationConfig.js";
import { AutoModelForCausalLM, LoraConfig, type LoraConfigInput, get_peft_model } from "../../src/model/index.js";
import { readSafetensors, type TensorEntry } from "../../src/model/safetensors.js";
import { parameterShapes } from "../../src/model/shapes.js";
import { Random } from "../../src/random.js";
import { distance, tokenLogps } from "./goldenVariants.js";
import { PythonProcess } from "./pythonProcess.js";

const golden = new URL("../golden/", import.meta.url).pathname;
const MODULES = ["torch", "transformers", "peft", "safetensors"];
const python = process.env.PREFLAB_PYTHON ?? "python3";
const probe = spawnSync(
  python,
  ["-c", `import importlib.util as u; print([m for m in ${JSON.stringify(MODULES)} if u.find_spec(m) is None])`],
  { encoding: "utf8" },
);
const missing = probe.status === 0 ? probe.stdout.trim() : `no ${python}`;

let root: string;
beforeAll(() => void (root = mkdtempSync(join(tmpdir(), "preflab-python-"))));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let pythonProcess: PythonProcess | undefined;
const run = (script: string, ...argv: string[]): Promise<unknown> => (pythonProcess ??= new PythonProcess(python)).run(script, ...argv);
afterAll(() => pythonProcess?.end());

const digest = (values: Float32Array) =>
  createHash("sha256")
    .update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
    .digest("hex");
const digests = (entries: Iterable<TensorEntry>) =>
  Object.fromEntries([...entries].map((entry) => [entry.name, digest(readFileTensor(entry))]));
const stored = (entries: Iterable<TensorEntry>) =>
  [...entries].map((entry): NamedTensor => [entry.name, entry.shape, readFileTensor(entry)]);

describe.skipIf(missing !== "[]")(
  `against Python${missing === "[]" ? "" : ` (skipped: missing ${missing}; set PREFLAB_PYTHON to a Python that has ${MODULES.join(", ")})`}`,
  () => {
    const LOAD = `
from transformers import AutoModelForCausalLM
model, info = AutoModelForCausalLM.from_pretrained(sys.argv[1], output_loading_info=True)
faults = {key: sorted(map(str, value)) for key, value in info.items() if len(value) > 0}
c = model.config
print(json.dumps({"faults": faults, "dtype": str(model.dtype), "weights": digest(model.named_parameters()), "eos": model.generation_config.eos_token_id,
  "config": [c.vocab_size, c.rope_parameters["rope_theta"], c.rms_norm_eps, c.tie_word_embeddings]}))
`;

    test("transformers loads a tied float32 model and a sharded bfloat16 one", async () => {
      const source = await openCheckpoint(join(golden, "tiny-qwen2"));
      for (const [dtype, maxShardBytes] of [
        ["float32", undefined],
        ["bfloat16", 100_000],
        ["float16", 60_000],
      ] as const) {
        const dir = join(root, dtype);
        await saveCheckpoint(dir, source.config, source.generationConfig, stored(source.tensors.values()), {
          dtype,
          ...(maxShardBytes && { maxShardBytes }),
        });
        const { tensors } = await openCheckpoint(dir);
        expect(await run(LOAD, dir)).toEqual({
          faults: {},
          dtype: `torch.${dtype}`,
          weights: digests(tensors.values()),
          eos: [702, 700],
          config: [736, 1e6, 1e-6, true],
        });
      }
    });

    test("transformers loads an untied model with a config in the published layout", async () => {
      const config = parseConfig(
        {
          model_type: "qwen2",
          vocab_size: 96,
          hidden_size: 32,
          intermediate_size: 48,
          num_hidden_layers: 2,
          num_attention_heads: 4,
          num_key_value_heads: 2,
          rms_norm_eps: 1e-6,
          rope_theta: 1000000,
          tie_word_embeddings: false,
          bos_token_id: 1,
          eos_token_id: 2,
          attention_dropout: 0,
          initializer_range: 0.02,
        },
        "x",
      );
      const random = new Random(1);
      const tensors = [...parameterShapes(config)].map(([name, shape]): NamedTensor => [
        name,
        shape,
        Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => random.normal()),
      ]);
      const dir = join(root, "untied");
      await saveCheckpoint(dir, config, defaultGenerationConfig(config), tensors);
      const expected = Object.fromEntries(tensors.map(([name, , values]) => [name, digest(values)]));
      expect(await run(LOAD, dir)).toEqual({
        faults: {},
        dtype: "torch.float32",
        weights: expected,
        eos: 2,
        config: [96, 1e6, 1e-6, false],
      });
    });

    test("save_pretrained of the same model gives the same weights files, index and shards", async () => {
      const dir = join(root, "theirs");
      const script = `
from transformers import AutoModelForCausalLM
model = AutoModelForCausalLM.from_pretrained(sys.argv[1])
model.save_pretrained(sys.argv[2], max_shard_size=100_000)
print("{}")
`;
      await run(script, join(golden, "tiny-qwen2"), dir);
      const source = await openCheckpoint(dir);
      const ours = join(root, "ours");
      await saveCheckpoint(ours, source.config, source.generationConfig, stored(source.tensors.values()), { maxShardBytes: 100_000 });
      expect(readdirSync(ours).sort()).toEqual(readdirSync(dir).sort());
      for (const file of readdirSync(dir)) expect(readFileSync(join(ours, file)).equals(readFileSync(join(dir, file))), file).toBe(true);
    });

    test("peft loads an adapter saved here, and the other way round", async () => {
      const base = join(golden, "tiny-qwen2");
      const { config: model } = await openCheckpoint(base);
      const config = new LoraConfig({
        r: 3,
        lora_alpha: 5,
        lora_dropout: 0.1,
        use_rslora: true,
        target_modules: ["gate_proj", "o_proj", "k_proj"],
        base_model_name_or_path: base,
      });
      const random = new Random(2);
      const tensors = [...adapterShapes(model, config)].map(([name, shape]): NamedTensor => [
        name,
        shape,
        Float32Array.from({ length: shape[0]! * shape[1]! }, () => random.normal()),
      ]);
      const dir = join(root, "adapter");
      await saveAdapter(dir, model, config, tensors);
      const script = `
from transformers import AutoModelForCausalLM
from peft import PeftModel, LoraConfig, get_peft_model
base = AutoModelForCausalLM.from_pretrained(sys.argv[1])
model = PeftModel.from_pretrained(base, sys.argv[2])
loaded = digest((n.replace(".default", ""), p) for n, p in model.named_parameters() if "lora_" in n)
layer = model.base_model.model.model.layers[0].self_attn.o_proj
scale = layer.scaling["default"]
model.save_pretrained(sys.argv[3])
torch.manual_seed(0)
fresh = get_peft_model(AutoModelForCausalLM.from_pretrained(sys.argv[1]), LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM"))
fresh.save_pretrained(sys.argv[4])
made = digest((n.replace(".default", ""), p) for n, p in fresh.named_parameters() if "lora_" in n)
print(json.dumps({"loaded": loaded, "scale": scale, "made": made}))
`;
      const [again, fresh] = [join(root, "adapter-again"), join(root, "adapter-fresh")];
      const result = (await run(script, base, dir, again, fresh)) as { loaded: object; scale: number; made: object };
      expect(result.loaded).toEqual(Object.fromEntries(tensors.map(([name, , values]) => [name, digest(values)])));
      expect(result.scale).toBeCloseTo(config.scaling, 12);
      expect(readFileSync(join(again, "adapter_model.safetensors")).equals(readFileSync(join(dir, "adapter_model.safetensors")))).toBe(
        true,
      );
      const theirs = await openAdapter(again, model);
      expect({ ...theirs.config, target_modules: theirs.config.targets }).toEqual({ ...config, target_modules: config.targets });
      const made = await openAdapter(fresh, model);
      expect(made.config).toMatchObject({ r: 2, lora_alpha: 8, lora_dropout: 0, scaling: 4 });
      expect(digests(made.tensors.values())).toEqual(result.made);
    });

    test.each([
      ["DoRA, patterns, rslora", { use_dora: true, use_rslora: true, rank_pattern: { q_proj: 3 }, alpha_pattern: { "1.*v_proj": 9 } }],
      ["biases", { bias: "all", target_modules: ["q_proj", "o_proj"] }],
      ["a bias behind B", { lora_bias: true, target_modules: ["q_proj"] }],
      [
        "saved modules",
        { modules_to_save: ["norm", "k_proj"], target_modules: ".*\\.[01]\\..*(q|up)_proj", exclude_modules: ["0.mlp.up_proj"] },
      ],
      ["layers", { layers_to_transform: [0, 2], layers_pattern: "layers", init_lora_weights: "gaussian" }],
      ["an untied head", { modules_to_save: ["lm_head"] }],
      ["a tied embedding", { modules_to_save: ["embed_tokens"], ensure_weight_tying: true }],
    ] as [string, LoraConfigInput][])("peft loads, computes, merges and saves alike: %s", async (name, input) => {
      const base = join(golden, "tiny-qwen2");
      const model = get_peft_model(await AutoModelForCausalLM.from_pretrained(base, { threads: 1 }), new LoraConfig({ r: 2, ...input }));
      try {
        const engine = await model.load();
        const random = new Random(9);
        for (const [tensor, shape] of model.trainable()) {
          const store = model.storeName(tensor);
          const values = (await engine.fetch(store)).data as Float32Array;
          const deviation = tensor.includes("lora_A") || tensor.includes("lora_B") ? 0.2 : 0.05;
          await engine.put(
            store,
            hostTensor(
              Float32Array.from(values, (value) => value + deviation * random.normal()),
              shape,
            ),
          );
        }
        const [dir, again] = [join(root, `variant-${name}`), join(root, `variant-${name}-again`)];
        await model.save_pretrained(dir);
        const script = `
from transformers import AutoModelForCausalLM
from peft import AutoPeftModelForCausalLM
model = AutoPeftModelForCausalLM.from_pretrained(sys.argv[1], attn_implementation="eager")
ids = json.loads(sys.argv[3])
def logps(model):
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids])).logits[0, :-1]
    return torch.log_softmax(logits, -1)[torch.arange(len(ids) - 1), torch.tensor(ids[1:])].tolist()
before = logps(model)
model.save_pretrained(sys.argv[2])
print(json.dumps({"logps": before, "merged": logps(model.merge_and_unload())}))
`;
        const ids = [700, 17, 203, 5, 88, 350, 41];
        const result = (await run(script, dir, again, JSON.stringify(ids))) as { logps: number[]; merged: number[] };
        expect(distance(await tokenLogps(model, ids), result.logps)).toBeLessThan(1e-4);
        expect(readFileSync(join(again, "adapter_model.safetensors")).equals(readFileSync(join(dir, "adapter_model.safetensors")))).toBe(
          true,
        );
        const json = (folder: string) => JSON.parse(readFileSync(join(folder, "adapter_config.json"), "utf8")) as Record<string, unknown>;
        const sorted = (value: unknown) => (Array.isArray(value) ? [...(value as unknown[])].sort() : value);
        // On loading a tied embedding PEFT adds its full path to the list, which names the same module.
        const [theirs, ours] = [json(again), json(dir)].map((config) => ({
          ...config,
          target_modules: sorted(config["target_modules"]),
          modules_to_save: (config["modules_to_save"] as string[] | null)?.filter((module) => module !== "model.embed_tokens"),
        }));
        expect(theirs).toEqual(ours);
        const merged = await model.merge_and_unload();
        expect(distance(await tokenLogps(merged, ids), result.merged)).toBeLessThan(1e-4);
      } finally {
        await model.base.dispose();
      }
    });

    test("peft loads two adapters from one folder", async () => {
      const base = join(golden, "tiny-qwen2");
      const model = get_peft_model(
        await AutoModelForCausalLM.from_pretrained(base, { threads: 1 }),
        new LoraConfig({ r: 2, init_lora_weights: false }),
      );
      try {
        model.add_adapter(
          "second",
          new LoraConfig({ r: 3, init_lora_weights: false, use_dora: true, target_modules: ["v_proj", "up_proj"] }),
        );
        model.set_adapter(["default", "second"]);
        const dir = join(root, "two");
        await model.save_pretrained(dir);
        const script = `
from transformers import AutoModelForCausalLM
from peft import PeftModel
model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(sys.argv[1], attn_implementation="eager"), sys.argv[2])
model.load_adapter(sys.argv[2] + "/second", "second")
model.base_model.set_adapter(["default", "second"])
ids = json.loads(sys.argv[3])
with torch.no_grad():
    logits = model(input_ids=torch.tensor([ids])).logits[0, :-1]
print(json.dumps(torch.log_softmax(logits, -1)[torch.arange(len(ids) - 1), torch.tensor(ids[1:])].tolist()))
`;
        const ids = [700, 17, 203, 5, 88, 350, 41];
        const theirs = (await run(script, base, dir, JSON.stringify(ids))) as number[];
        expect(distance(await tokenLogps(model, ids), theirs)).toBeLessThan(1e-4);
      } finally {
        await model.base.dispose();
      }
    });

    test("no damaged file is accepted here that the reference implementation refuses", async () => {
      const whole = readFileSync(join(golden, "lora_init/adapter_model.safetensors"));
      const header = whole.subarray(8, 8 + Number(whole.readBigUInt64LE()));
      const random = new Random(30);
      const dir = join(root, "damaged");
      mkdirSync(dir);
      cpSync(join(golden, "lora_init/adapter_model.safetensors"), join(dir, "whole.safetensors"));
      for (let i = 0; i < 600; i++) {
        const bytes = Buffer.from(header);
        for (let change = random.integer(2); change >= 0; change--)
          bytes[random.integer(bytes.length)] = i % 2 ? 0x20 + random.integer(0x5f) : 0x30 + random.integer(10);
        writeFileSync(join(dir, `${i}.safetensors`), Buffer.concat([whole.subarray(0, 8), bytes, whole.subarray(8 + header.length)]));
      }
      const script = `
import os
from safetensors import safe_open
accepted = []
for name in os.listdir(sys.argv[1]):
    try:
        with safe_open(os.path.join(sys.argv[1], name), "pt") as file:
            file.keys()
        accepted.append(name)
    except Exception:
        pass
print(json.dumps(accepted))
`;
      const theirs = new Set((await run(script, dir)) as string[]);
      const ours = readdirSync(dir).filter((name) => {
        try {
          readSafetensors(join(dir, name));
          return true;
        } catch (error) {
          expect(error).toBeInstanceOf(ModelError);
          return false;
        }
      });
      expect(ours).toContain("whole.safetensors");
      expect(ours.filter((name) => !theirs.has(name))).toEqual([]);
      expect([...theirs].filter((name) => !ours.includes(name))).toEqual([]);
      expect(ours.length).toBeGreaterThan(50);
      expect(ours.length).toBeLessThan(601);
    });
  },
);
