/**
 * Trains the shipped tiny chat model from random weights on the corpus of scripts/corpus, with this project's own engine:
 *
 *     npm run build && node dist/scripts/train-tiny-model.js
 *
 * Deterministic on one machine: equal seeds give equal files.
 */
import { copyFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type HostTensors } from "../src/compile/index.js";
import type { Message } from "../src/data/index.js";
import { AutoModelForCausalLM, type Qwen2Config, parameterShapes, readConfig, saveCheckpoint } from "../src/model/index.js";
import { readGenerationConfig } from "../src/model/generationConfig.js";
import { Random } from "../src/random.js";
import { AutoTokenizer, IGNORED_LABEL, type PreTrainedTokenizer } from "../src/text/index.js";
import { AdamW } from "../src/train/optimizer/adamw.js";
import { learningRateSchedule } from "../src/train/loop/schedule.js";
import { layoutText, textInputs } from "../src/train/sequence/textLayout.js";
import { textGradientProgram } from "../src/train/sequence/textProgram.js";
import { buildCorpus, type Conversation, corpusSeed } from "./corpus/index.js";
import { packageRoot } from "./corpus/pairs.js";

/** Tokens of a packed sequence, and the scored ones among them (about half are answers). */
const TOKENS = 256;
const SCORED = 192;
const SEQUENCES_PER_STEP = 6;

interface Text {
  readonly ids: number[];
  /** Whether the token is part of an answer, which is what the model learns. */
  readonly answer: boolean[];
}

/** Tokens of a conversation; those of assistant turns, with their end token, are marked. */
function tokenise(tokenizer: PreTrainedTokenizer, { messages }: Conversation): Text {
  const ids: number[] = [];
  const answer: boolean[] = [];
  messages.forEach((message, i) => {
    if (message.role !== "assistant") return;
    const before = tokenizer.apply_chat_template(messages.slice(0, i) as Message[], { add_generation_prompt: true });
    const after = tokenizer.apply_chat_template(messages.slice(0, i + 1) as Message[]);
    for (let at = ids.length; at < after.length; at++) {
      ids.push(after[at]!);
      // The template ends a turn with a newline after the end token; there is nothing to learn in it.
      answer.push(at >= before.length && at < after.length - 1);
    }
  });
  return { ids, answer };
}

/** Fills sequences with whole texts in the given order. */
function pack(texts: readonly Text[]): Text[][] {
  const sequences: Text[][] = [];
  let current: Text[] = [];
  let tokens = 0;
  let scored = 0;
  for (const text of texts) {
    const answers = text.answer.filter((flag) => flag).length;
    if (text.ids.length > TOKENS || answers > SCORED) continue;
    if (tokens + text.ids.length > TOKENS || scored + answers > SCORED) {
      sequences.push(current);
      [current, tokens, scored] = [[], 0, 0];
    }
    current.push(text);
    tokens += text.ids.length;
    scored += answers;
  }
  if (current.length > 0) sequences.push(current);
  return sequences;
}

/** @param weight of every answer token in the loss */
function sequenceInputs(sequence: readonly Text[], config: Qwen2Config, weight: number): HostTensors {
  const ids = sequence.flatMap((text) => text.ids);
  const labels = sequence.flatMap((text) => text.ids.map((id, i) => (text.answer[i]! ? id : IGNORED_LABEL)));
  const lengths = sequence.map((text) => text.ids.length);
  return textInputs([layoutText(ids, labels, lengths)], 0, config, weight);
}

/** Normal weights, with the layers' outputs scaled down by √(2·layers) as in GPT-2. */
function* initialWeights(config: Qwen2Config, seed: number): Generator<[string, number[], Float32Array]> {
  for (const [name, shape] of parameterShapes(config)) {
    const values = new Float32Array(shape.reduce((product, size) => product * size, 1));
    const random = new Random(seed).fork(name);
    const output = name.endsWith("o_proj.weight") || name.endsWith("down_proj.weight");
    const deviation = config.initializer_range / (output ? Math.sqrt(2 * config.num_hidden_layers) : 1);
    if (name.endsWith("norm.weight")) values.fill(1);
    else if (!name.endsWith(".bias")) for (let i = 0; i < values.length; i++) values[i] = deviation * random.normal();
    yield [name, shape, values];
  }
}

async function main(): Promise<void> {
  const folder = join(packageRoot(), "datasets", "tiny-qwen2-chat");
  const { values } = parseArgs({
    options: {
      output: { type: "string", default: folder },
      epochs: { type: "string", default: "10" },
      seed: { type: "string", default: "1" },
      learning_rate: { type: "string", default: "3e-3" },
    },
  });
  const [epochs, seed, peak] = [Number(values.epochs), Number(values.seed), Number(values.learning_rate)];
  const tokenizer = await AutoTokenizer.from_pretrained(folder);
  const config = readConfig(folder);
  const generationConfig = readGenerationConfig(folder, config);
  await saveCheckpoint(values.output, config, generationConfig, initialWeights(config, seed));
  const model = await AutoModelForCausalLM.from_pretrained(values.output);
  const engine = await model.load();
  const texts = buildCorpus(corpusSeed).map((conversation) => tokenise(tokenizer, conversation));
  const random = new Random(seed).fork("order");
  const plan = Array.from({ length: epochs }, (_, epoch) => pack(random.fork(`epoch ${epoch}`).shuffle(texts)));
  const total = plan.reduce((sum, sequences) => sum + Math.ceil(sequences.length / SEQUENCES_PER_STEP), 0);
  console.log(
    `${texts.length} conversations, ${texts.reduce((sum, { ids }) => sum + ids.length, 0)} tokens, ${epochs} epochs, ${total} steps`,
  );

  const optimizer = await AdamW.create(engine, model, { adam_beta1: 0.9, adam_beta2: 0.98, adam_epsilon: 1e-8, weight_decay: 0.05 });
  const program = textGradientProgram(engine, model);
  const schedule = learningRateSchedule("cosine", peak, 100, total);
  const started = performance.now();
  let step = 0;
  for (const [epoch, sequences] of plan.entries()) {
    let [loss, correct, scored] = [0, 0, 0];
    for (let begin = 0; begin < sequences.length; begin += SEQUENCES_PER_STEP, step++) {
      const group = sequences.slice(begin, begin + SEQUENCES_PER_STEP);
      const tokens = group.flat().reduce((sum, { answer }) => sum + answer.filter((flag, i) => flag && i > 0).length, 0);
      for (const [i, sequence] of group.entries()) {
        const inputs = sequenceInputs(sequence, config, 1 / tokens);
        const outputs = await program.run(inputs, i === 0);
        loss += outputs["loss"]!.data[0]! * tokens;
        correct += outputs["correct"]!.data[0]!;
      }
      scored += tokens;
      const norm = await optimizer.gradientNorm();
      if (!Number.isFinite(norm)) throw new Error(`step ${step}: the gradient is not finite`);
      await optimizer.step(schedule.rate(step), Math.min(1, 1 / (norm + 1e-6)));
      if (step % 50 === 0)
        console.log(
          `step ${step}/${total}: loss ${(loss / (scored || tokens)).toFixed(3)}, ${((performance.now() - started) / 1000).toFixed(0)} s`,
        );
    }
    const minutes = (performance.now() - started) / 60_000;
    console.log(
      `epoch ${epoch + 1}: loss ${(loss / scored).toFixed(4)}, token accuracy ${(correct / scored).toFixed(4)}, ${minutes.toFixed(1)} min`,
    );
  }
  // bfloat16 keeps the shipped file small; training differences of its size do not change answers.
  await model.save_pretrained(values.output, { dtype: "bfloat16" });
  if (values.output !== folder) {
    for (const file of ["tokenizer.json", "tokenizer_config.json"]) await copyFile(join(folder, file), join(values.output, file));
  }
  await optimizer.dispose();
  await model.dispose();
}

await main();
