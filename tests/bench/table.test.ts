/** Ratios, times and the table. */
import { describe, expect, test } from "vitest";
import { gridTrials } from "../../bench/vs-trl/cases/grid.js";
import { sizedPrograms, setUpSeconds } from "../../bench/vs-trl/cases/start.js";
import { stepSeconds } from "../../bench/vs-trl/bench.js";
import type { Measured } from "../../bench/vs-trl/requests.js";
import { medianRate, rateOf, ratios, type Round } from "../../bench/vs-trl/rounds.js";
import { formatReport, formatTimes } from "../../bench/vs-trl/table.js";

function measured(change: Partial<Measured> = {}): Measured {
  return {
    step_seconds: [2, 10, 4],
    first_step_seconds: 7,
    begin_seconds: 1.5,
    process_seconds: 30,
    peak_bytes: 3e9,
    first_logps: -10,
    first_grad_norm: 1,
    sgemm: [],
    programs: [],
    versions: {},
    ...change,
  };
}

describe("rates", () => {
  test("are of the median step", () => {
    expect(stepSeconds(measured())).toBe(4);
    expect(rateOf({ result: measured(), sgemm: 300 }, 5)).toEqual({ pairs_per_second: 1.25, sgemm: 300 });
  });

  test("set-up is the time to the first step, and what that took more than the others", () => {
    expect(setUpSeconds(measured())).toBe(1.5 + 7 - 4);
  });

  const rate = (pairs_per_second: number, sgemm: number) => ({ pairs_per_second, sgemm });
  const rounds: Round[] = [
    { trl: { TRL: rate(0.1, 300) }, preflab: { lora: rate(0.4, 300) } },
    // The machine was half as fast while Preflab ran.
    { trl: { TRL: rate(0.1, 300) }, preflab: { lora: rate(0.2, 150) } },
    { trl: {}, preflab: { lora: rate(0.6, 300) } },
  ];

  test("ratios are within a round; a round without TRL has none", () => {
    const { measured: times, atEqualSgemm } = ratios(rounds, "lora", "TRL");
    expect(times).toEqual([4, 2]);
    expect(atEqualSgemm).toEqual([4, 4]);
    for (const [variant, setting] of [
      ["other", "TRL"],
      ["lora", "other"],
    ] as const)
      expect(ratios(rounds, variant, setting)).toEqual({ measured: [], atEqualSgemm: [] });
    expect(medianRate(rounds, "lora")).toBe(0.4);
  });
});

test("the grid has 12 different trials", () => {
  expect(new Set(gridTrials().map((trial) => JSON.stringify(trial))).size).toBe(12);
});

test("programs with named sizes are those over rows", () => {
  const programs = [
    { name: "gradient", sizes: "T=9 C=4", seconds: 1 },
    { name: "adamw", sizes: "", seconds: 1 },
  ];
  expect(sizedPrograms(programs)).toEqual([programs[0]]);
});

test("times say their spread", () => {
  expect(formatTimes([])).toBe("–");
  expect(formatTimes([4])).toBe("4.00 ×");
  expect(formatTimes([4.2, 3, 4])).toBe("4.00 × (3.00 to 4.20)");
});

test("the report is a markdown table, with the machine, versions, date, command and notes", () => {
  const text = formatReport({
    rows: [
      { target: "speed | a", goal: "≥ 4 ×", measured: "4.2 ×", other: "TRL: 50 s", reached: true },
      { target: "memory", goal: "≤ 1 GB", measured: "2 GB", other: "–", reached: false },
      { target: "decode", goal: "fast", measured: "not measured", other: "–", reached: null },
    ],
    machine: { cpu: "a CPU", cores: 2, memory_gb: 24.6, system: "Linux 6", node: "20.20.0", "onnxruntime-node": "1.30.0" },
    versions: { torch: "2.13.0", trl: "1.13.0" },
    threads: 2,
    sgemm: [300, 100, 200],
    date: "2026-11-28",
    command: "npm run bench:vs-trl",
    notes: ["one note"],
  });
  expect(text.split("\n")).toEqual([
    "| target | goal | measured | the other tool | reached? |",
    "| --- | --- | --- | --- | --- |",
    "| speed \\| a | ≥ 4 × | 4.2 × | TRL: 50 s | yes |",
    "| memory | ≤ 1 GB | 2 GB | – | no |",
    "| decode | fast | not measured | – | – |",
    "",
    "Machine: a CPU, 2 cores, 2 threads used, 25 GB, Linux 6; plain sgemm 200 GFLOP/s (100 to 300 in 3 measurements).",
    "Versions: node 20.20.0, onnxruntime-node 1.30.0, torch 2.13.0, trl 1.13.0. 2026-11-28, `npm run bench:vs-trl`.",
    "- one note",
    "",
  ]);
});
