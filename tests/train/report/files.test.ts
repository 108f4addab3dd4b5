/** Event files and csv: what is written, what a killed run leaves, and how a resumed run goes on. */
import { spawnSync } from "node:child_process";
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, it, test } from "vitest";
import { load_dataset } from "../../../src/data/index.js";
import { ConfigError } from "../../../src/errors.js";
import { DPOConfig, type DPOConfigInput, type LogEntry, type TrainerState } from "../../../src/train/index.js";
import { crc32c, maskedCrc32c } from "../../../src/train/report/crc32c.js";
import type { TrainerControl, TrainerCallback as Reporter } from "../../../src/train/loop/callbacks.js";
import { reporters } from "../../../src/train/report/reporters.js";
import { tensorboardTag } from "../../../src/train/report/tensorboard.js";

/** The loggers do not look at it. */
const CONTROL = {} as TrainerControl;

const root = mkdtempSync(join(tmpdir(), "preflab-report-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let folder = "";
let runs = 0;
let warned: string[] = [];
beforeEach(() => {
  folder = join(root, `run-${runs++}`);
  warned = [];
});

const at = (global_step: number): TrainerState => ({ global_step, max_steps: 4 }) as TrainerState;

function made(options: DPOConfigInput): Reporter[] {
  return reporters(new DPOConfig({ output_dir: folder, ...options }), {
    environment: {},
    warn: (text) => void warned.push(text),
    model_config: { hidden_size: 16 },
  });
}

async function play(list: Reporter[], begin: number, entries: LogEntry[]): Promise<void> {
  for (const reporter of list) await reporter.on_train_begin?.(at(begin), CONTROL);
  for (const entry of entries) for (const reporter of list) await reporter.on_log?.(at(entry.step!), entry, CONTROL);
}

interface ReadEvent {
  step: number;
  fileVersion?: string;
  start?: boolean;
  scalars: Record<string, number>;
  texts: Record<string, string>;
  plugin?: string;
}

/** A small protobuf reader of its own: field number → values; varints as numbers, other wire types as bytes. */
function fields(bytes: Buffer): Map<number, (number | Buffer)[]> {
  const found = new Map<number, (number | Buffer)[]>();
  let i = 0;
  const varint = (): number => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = bytes[i++]!;
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  };
  while (i < bytes.length) {
    const key = varint();
    const wire = key & 7;
    let value: number | Buffer;
    if (wire === 0) value = varint();
    else {
      const size = wire === 1 ? 8 : wire === 5 ? 4 : varint();
      value = bytes.subarray(i, i + size);
      i += size;
    }
    found.set(key >>> 3, [...(found.get(key >>> 3) ?? []), value]);
  }
  return found;
}

/** Every record of an event file, checksums compared. Field numbers are those of tensorflow's .proto files. */
function readEvents(file: string): ReadEvent[] {
  const bytes = readFileSync(file);
  const events: ReadEvent[] = [];
  for (let i = 0; i < bytes.length;) {
    const size = Number(bytes.readBigUInt64LE(i));
    expect(bytes.readUInt32LE(i + 8)).toBe(maskedCrc32c(bytes.subarray(i, i + 8)));
    const data = bytes.subarray(i + 12, i + 12 + size);
    expect(bytes.readUInt32LE(i + 12 + size)).toBe(maskedCrc32c(data));
    i += size + 16;
    const event = fields(data);
    const read: ReadEvent = { step: (event.get(2)?.[0] as number | undefined) ?? 0, scalars: {}, texts: {} };
    expect((event.get(1)![0] as Buffer).readDoubleLE(0)).toBeGreaterThan(1.7e9);
    if (event.has(3)) read.fileVersion = String(event.get(3)![0]);
    if (event.has(7)) read.start = fields(event.get(7)![0] as Buffer).get(1)![0] === 1;
    for (const value of event.has(5) ? fields(event.get(5)![0] as Buffer).get(1)! : []) {
      const parts = fields(value as Buffer);
      const tag = String(parts.get(1)![0]);
      if (parts.has(2)) read.scalars[tag] = (parts.get(2)![0] as Buffer).readFloatLE(0);
      if (parts.has(8)) {
        const tensor = fields(parts.get(8)![0] as Buffer);
        expect(tensor.get(1)).toEqual([7]);
        read.texts[tag] = String(tensor.get(8)![0]);
        read.plugin = String(fields(fields(parts.get(9)![0] as Buffer).get(1)![0] as Buffer).get(1)![0]);
      }
    }
    events.push(read);
  }
  return events;
}

const eventFiles = (): string[] =>
  readdirSync(join(folder, "runs"))
    .filter((name) => name.startsWith("events."))
    .sort()
    .map((name) => join(folder, "runs", name));

const FIRST: LogEntry = { loss: 0.75, "rewards/margins": 0, learning_rate: 0.5, epoch: 0.25, step: 1 };
const SECOND: LogEntry = { loss: 0.5, "rewards/margins": 0.25, learning_rate: 0.25, epoch: 0.5, step: 2 };
const EVALUATED: LogEntry = { eval_loss: 0.625, "eval_rewards/margins": 0.125, epoch: 0.5, step: 2 };
const THIRD: LogEntry = { loss: NaN, learning_rate: 0.125, epoch: 0.75, step: 3 };

test("crc32c: the values of RFC 3720 appendix B.4", () => {
  expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
  expect(crc32c(new Uint8Array(32).fill(255))).toBe(0x62a8ab43);
  expect(crc32c(Uint8Array.from({ length: 32 }, (_, i) => i))).toBe(0x46dd794e);
  expect(crc32c(new TextEncoder().encode("123456789"))).toBe(0xe3069283);
});

test("tags are those of transformers' rewrite_logs", () => {
  expect(["loss", "eval_loss", "eval_rewards/margins", "rewards/margins", "test_loss", "train_runtime"].map(tensorboardTag)).toEqual([
    "train/loss",
    "eval/loss",
    "eval/rewards/margins",
    "train/rewards/margins",
    "test/loss",
    "train/train_runtime",
  ]);
});

describe("report_to", () => {
  const names = (options: DPOConfigInput): string[] => made(options).map((reporter) => reporter.constructor.name);

  it("none gives nothing, all gives files, and mlflow where a server is set", () => {
    expect(names({})).toEqual([]);
    expect(names({ report_to: ["csv"] })).toEqual(["CsvReporter"]);
    expect(names({ report_to: "all" })).toEqual(["TensorBoardReporter", "CsvReporter"]);
    const all = reporters(new DPOConfig({ report_to: "all" }), { environment: { MLFLOW_TRACKING_URI: "http://localhost:1" } });
    expect(all.map((reporter) => reporter.constructor.name)).toEqual(["TensorBoardReporter", "CsvReporter", "MlflowReporter"]);
  });

  it("logging_dir moves the files", async () => {
    const logging_dir = join(root, "elsewhere");
    await play(made({ report_to: ["csv", "tensorboard"], logging_dir }), 0, [FIRST]);
    expect(existsSync(join(logging_dir, "log.csv"))).toBe(true);
    expect(existsSync(join(folder, "runs"))).toBe(false);
  });

  it("a folder that cannot be written is an error before the first step", async () => {
    writeFileSync(join(root, "file"), "");
    const failing = play(made({ report_to: "csv", logging_dir: join(root, "file", "runs") }), 0, []);
    await expect(failing).rejects.toMatchObject({ constructor: ConfigError, code: "logging_dir" });
    await expect(failing).rejects.toThrow(/the folder .*file.runs must be writable, got ENOTDIR.*; choose another/);
  });
});

describe("TensorBoard", () => {
  it("scalars by tag and step, options as text, readable after each entry", async () => {
    const list = made({ report_to: "tensorboard", beta: 0.3 });
    await play(list, 0, [FIRST]);
    const file = eventFiles()[0]!;
    expect(file).toMatch(/events\.out\.tfevents\.\d{10}\.[^/]+$/);
    const [version, start, args, model, first] = readEvents(file);
    expect(version).toMatchObject({ fileVersion: "brain.Event:2" });
    expect(start).toMatchObject({ start: true, step: 0 });
    expect(JSON.parse(args!.texts["args/text_summary"]!)).toMatchObject({ beta: 0.3, report_to: ["tensorboard"] });
    expect(args!.plugin).toBe("text");
    expect(JSON.parse(model!.texts["model_config/text_summary"]!)).toEqual({ hidden_size: 16 });
    expect(first).toMatchObject({
      step: 1,
      scalars: { "train/loss": 0.75, "train/rewards/margins": 0, "train/learning_rate": 0.5, "train/epoch": 0.25 },
    });
    expect(Object.keys(first!.scalars)).not.toContain("train/step");
    for (const entry of [EVALUATED, THIRD]) await list[0]!.on_log!(at(2), entry, CONTROL);
    const [evaluated, third] = readEvents(file).slice(5);
    expect(evaluated).toMatchObject({ step: 2, scalars: { "eval/loss": 0.625, "eval/rewards/margins": 0.125 } });
    expect(third!.scalars["train/loss"]).toBeNaN();
  });

  it("a resumed run goes on in the file, behind its last whole record", async () => {
    await play(made({ report_to: "tensorboard" }), 0, [FIRST, SECOND, THIRD]);
    const file = eventFiles()[0]!;
    const before = readEvents(file).length;
    appendFileSync(file, Buffer.from([24, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 9]));
    await play(made({ report_to: "tensorboard", resume_from_checkpoint: "true" }), 2, [{ ...THIRD, loss: 0.25 }]);
    expect(eventFiles()).toEqual([file]);
    const events = readEvents(file).slice(before);
    // Steps 3 and later of the killed process are void.
    expect(events[0]).toMatchObject({ start: true, step: 3 });
    expect(events.at(-1)).toMatchObject({ step: 3, scalars: { "train/loss": 0.25 } });
  });

  it("a run that starts anew has its own file", async () => {
    await play(made({ report_to: "tensorboard" }), 0, [FIRST]);
    await play(made({ report_to: "tensorboard" }), 0, [FIRST]);
    expect(eventFiles()).toHaveLength(2);
  });

  it("an evaluation before training stays", async () => {
    const list = made({ report_to: "tensorboard" });
    await list[0]!.on_log!(at(0), { eval_loss: 1, step: 0 }, CONTROL);
    await play(list, 0, [FIRST]);
    const events = readEvents(eventFiles()[0]!);
    const start = events.findIndex((event) => event.start === true);
    expect(events.slice(start).map((event) => event.scalars["eval/loss"])).toContain(1);
  });

  const python = process.env.PREFLAB_PYTHON ?? "python3";
  const probe = spawnSync(python, ["-c", "import tensorboard.backend.event_processing.event_accumulator"], { encoding: "utf8" });
  const missing = probe.status === 0 ? "" : (probe.stderr?.trim().split("\n").at(-1) ?? `no ${python}`);

  test.skipIf(missing !== "")(
    `TensorBoard's own reader sees the same values${missing === "" ? "" : ` (skipped: ${missing})`}`,
    async () => {
      await play(made({ report_to: "tensorboard", beta: 0.3 }), 0, [FIRST, SECOND, EVALUATED, { ...THIRD, loss: 7 }]);
      appendFileSync(eventFiles()[0]!, Buffer.from([24, 0, 0]));
      await play(made({ report_to: "tensorboard", beta: 0.3, resume_from_checkpoint: "true" }), 2, [{ ...THIRD, loss: 0.25 }]);
      const script = `
import sys, json
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
events = EventAccumulator(sys.argv[1]).Reload()
scalars = {tag: [[e.step, e.value] for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
texts = [e.tensor_proto.string_val[0].decode() for e in events.Tensors("args/text_summary")]
plugin = events.SummaryMetadata("args/text_summary").plugin_data.plugin_name
print(json.dumps({"scalars": scalars, "texts": texts, "plugin": plugin}))
`;
      const { stdout, stderr, status } = spawnSync(python, ["-c", script, join(folder, "runs")], { encoding: "utf8" });
      expect(status, stderr).toBe(0);
      const read = JSON.parse(stdout.trim().split("\n").at(-1)!) as { scalars: object; texts: string[]; plugin: string };
      expect(read.scalars).toEqual({
        "train/loss": [
          [1, 0.75],
          [2, 0.5],
          [3, 0.25],
        ],
        "train/rewards/margins": [
          [1, 0],
          [2, 0.25],
        ],
        "train/learning_rate": [
          [1, 0.5],
          [2, 0.25],
          [3, 0.125],
        ],
        "train/epoch": [
          [1, 0.25],
          [2, 0.5],
          [2, 0.5],
          [3, 0.75],
        ],
        "eval/loss": [[2, 0.625]],
        "eval/rewards/margins": [[2, 0.125]],
      });
      expect(read.plugin).toBe("text");
      expect(read.texts.map((text) => (JSON.parse(text) as { beta: number }).beta)).toEqual([0.3, 0.3]);
    },
  );
});

describe("csv", () => {
  const read = async (): Promise<unknown[]> => [...(await load_dataset(join(folder, "runs", "log.csv")))];

  it("a row an entry, step and epoch first, columns as they come, readable by our own reader", async () => {
    const list = made({ report_to: "csv" });
    await play(list, 0, [FIRST, EVALUATED, THIRD, { 'a"b,c': 1, step: 4 }]);
    expect(readFileSync(join(folder, "runs", "log.csv"), "utf8")).toBe(
      [
        'step,epoch,loss,rewards/margins,learning_rate,eval_loss,eval_rewards/margins,"a""b,c"',
        "1,0.25,0.75,0,0.5,,,",
        "2,0.5,,,,0.625,0.125,",
        "3,0.75,NaN,,0.125,,,",
        "4,,,,,,,1",
        "",
      ].join("\r\n"),
    );
    expect((await read())[1]).toMatchObject({ step: "2", loss: null, eval_loss: "0.625", 'a"b,c': null });
  });

  it("a resumed run replaces what came after the checkpoint, and a cut last line", async () => {
    await play(made({ report_to: "csv" }), 0, [FIRST, SECOND, THIRD]);
    appendFileSync(join(folder, "runs", "log.csv"), "4,1.0,0.1");
    await play(made({ report_to: "csv", resume_from_checkpoint: "true" }), 2, [{ ...THIRD, loss: 0.25 }]);
    expect(await read()).toMatchObject([{ step: "1" }, { step: "2", loss: "0.5" }, { step: "3", loss: "0.25" }]);
  });

  it("a run that starts anew replaces the log, but keeps its own evaluation", async () => {
    await play(made({ report_to: "csv" }), 0, [FIRST, SECOND]);
    const list = made({ report_to: "csv" });
    await list[0]!.on_log!(at(0), { eval_loss: 1, step: 0 }, CONTROL);
    expect(await read()).toHaveLength(3);
    await play(list, 0, [FIRST]);
    expect(await read()).toMatchObject([
      { step: "0", eval_loss: "1" },
      { step: "1", loss: "0.75" },
    ]);
  });

  it("refuses to write over a file that is not its own", async () => {
    mkdirSync(join(folder, "runs"), { recursive: true });
    writeFileSync(join(folder, "runs", "log.csv"), "name,age\r\nAda,36\r\n");
    const failing = play(made({ report_to: "csv" }), 0, []);
    await expect(failing).rejects.toMatchObject({ code: "logging_dir" });
    await expect(failing).rejects.toThrow(/log\.csv must be a log of an earlier run, got the header "name,age.*move it away/);
  });

  it("a folder that cannot be reached for a while loses entries, once told, not the training", async () => {
    const list = made({ report_to: "csv" });
    await play(list, 0, [FIRST]);
    renameSync(join(folder, "runs"), join(folder, "away"));
    writeFileSync(join(folder, "runs"), "a file where the folder was");
    await list[0]!.on_log!(at(2), EVALUATED, CONTROL);
    rmSync(join(folder, "runs"));
    renameSync(join(folder, "away"), join(folder, "runs"));
    await list[0]!.on_log!(at(3), THIRD, CONTROL);
    await list[0]!.on_train_end!(at(3), CONTROL);
    expect(await read()).toMatchObject([{ step: "1" }, { step: "3" }]);
    expect(warned).toHaveLength(2);
  });

  it("a file that cannot be written any more loses entries, told once and summed up at the end", async () => {
    const list = made({ report_to: ["csv", "tensorboard"] });
    await play(list, 0, [FIRST]);
    rmSync(join(folder, "runs"), { recursive: true });
    for (const entry of [EVALUATED, { ...EVALUATED, step: 3 }]) for (const reporter of list) await reporter.on_log!(at(2), entry, CONTROL);
    mkdirSync(join(folder, "runs"));
    await list[1]!.on_log!(at(3), THIRD, CONTROL);
    for (const reporter of list) await reporter.on_train_end!(at(3), CONTROL);
    expect(await read()).toMatchObject([{ step: "1" }, { step: "3" }]);
    expect(warned.map((text) => text.replace(/[^ ]*run-\d+[^ ,;]*/g, "PATH"))).toEqual([
      expect.stringMatching(/^tensorboard: a log entry could not be written/),
      expect.stringMatching(/^csv: a log entry could not be written into PATH, got ENOENT.*; training goes on, without this entry$/),
      expect.stringMatching(/^tensorboard: 2 log entries were lost/),
      expect.stringMatching(/^csv: 2 log entries were lost; a log entry could not be written into PATH, got ENOENT/),
    ]);
  });
});
