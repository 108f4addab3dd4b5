import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { defineOptions, formatHelp, formatMarkdown, loadOptionFile, parseFlags } from "../../src/config/index.js";
import { ConfigError } from "../../src/errors.js";

const OVEN = defineOptions("Oven", {
  recipe: { type: "string", required: true, help: "What to bake" },
  heat: { type: "number", default: 180, min: 0, max: 300, unit: "°C", help: "Temperature" },
  minutes: { type: "integer", default: 30, min: -1, help: "Time" },
  fan: { type: "boolean", default: true, help: "Blow air around" },
  note: { type: "string", default: null, nullable: true, help: "Anything" },
  spices: { type: "string", list: true, default: null, nullable: true, aliases: ["herbs"], help: "Names" },
  guest: { type: "string", list: true, repeat: true, default: [], help: "One guest; repeat for more" },
  timer: { type: "json", default: null, nullable: true, help: "When to ring" },
  set: { type: "pair", default: [], short: "s", help: "A knob" },
  gas_mark: { removed: "give heat" },
  microwave: { refused: "it is an oven" },
});
const CELLAR = defineOptions("Cellar", { cellar_heat: { type: "number", default: 12, help: "Temperature below" } });

const parse = (...argv: string[]) => parseFlags([OVEN, CELLAR], argv, { where: "oven" });
function message(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
  throw new Error("nothing was thrown");
}

describe("flags", () => {
  test.each<[string[], Record<string, unknown>]>([
    [["--heat", "200"], { heat: 200 }],
    [["--heat=200"], { heat: 200 }],
    [["--heat", "1e2"], { heat: 100 }],
    [["--heat", "-5"], { heat: -5 }],
    [["--minutes", "-1", "--cellar-heat", ".5"], { minutes: -1, cellar_heat: 0.5 }],
    [["--fan"], { fan: true }],
    [["--fan", "False"], { fan: false }],
    [["--no-fan"], { fan: false }],
    [["--no_fan"], { fan: false }],
    [["--note", "none"], { note: null }],
    [["--note=a=b"], { note: "a=b" }],
    [["--note="], { note: "" }],
    [["--spices", "salt", "pepper,cumin", "--fan"], { spices: ["salt", "pepper", "cumin"], fan: true }],
    [["--herbs", "mint"], { spices: ["mint"] }],
    [["--timer", '{"after": [1, 2], "loud": true}', "--fan"], { timer: { after: [1, 2], loud: true }, fan: true }],
    [["--timer={}"], { timer: {} }],
    [["--timer", "null"], { timer: null }],
    [["--guest", "Ada, Lovelace", "--guest", "--odd--"], { guest: ["Ada, Lovelace", "--odd--"] }],
    [
      ["-s", "knob", "3", "--set", "-dial", "-4"],
      {
        set: [
          ["knob", "3"],
          ["-dial", "-4"],
        ],
      },
    ],
    [["--heat", "1", "--heat", "2"], { heat: 2 }],
    [["--gas_mark", "4", "--fan"], { gas_mark: 4, fan: true }],
    [["--microwave", "--no_gas_mark"], { microwave: true, gas_mark: false }],
    [["--microwave", "none", "--gas_mark=a"], { microwave: null, gas_mark: "a" }],
  ])("%j", (argv, values) => {
    expect(parse(...argv)).toEqual({ values, positionals: [] });
  });

  test("words that belong to no flag are positionals", () => {
    expect(parse("cake.txt", "--fan", "other", "--", "--heat")).toEqual({
      values: { fan: true },
      positionals: ["cake.txt", "other", "--heat"],
    });
  });

  test.each<[string[], string]>([
    [["--heet", "3"], "oven: unknown option --heet; did you mean --heat?"],
    [["--cellar_het", "3"], "oven: unknown option --cellar_het; did you mean --cellar_heat?"],
    [
      ["-x"],
      "oven: unknown option -x; known: --recipe, --heat, --minutes, --fan, --note, --spices, --guest, --timer, --set, --herbs, --cellar_heat",
    ],
    [["--heat", "hot"], 'oven: --heat must be a number >= 0 and <= 300, got "hot"; the default is 180'],
    [["--heat", "0x10"], 'oven: --heat must be a number >= 0 and <= 300, got "0x10"; the default is 180'],
    [["--heat", "Infinity"], 'oven: --heat must be a number >= 0 and <= 300, got "Infinity"; the default is 180'],
    [["--timer", "{after: 1}"], 'oven: --timer must be a JSON object, got "{after: 1}"; the default is null'],
    [["--timer", "[1]"], 'oven: --timer must be a JSON object, got "[1]"; the default is null'],
    [["--timer", "--fan"], "oven: --timer must be followed by a JSON object, got nothing"],
    [["--heat"], "oven: --heat must be followed by a number >= 0 and <= 300, got nothing"],
    [["--note", "--fan"], "oven: --note must be followed by a string, got nothing"],
    [["--fan=maybe"], 'oven: --fan must be true or false, got "maybe"; the default is true'],
    [["--no-fan=true"], 'oven: --no-fan takes no value, got "true"'],
    [
      ["--no-heat"],
      "oven: unknown option --no-heat; known: --recipe, --heat, --minutes, --fan, --note, --spices, --guest, --timer, --set, --herbs, --cellar_heat",
    ],
    [["-s", "knob"], "oven: -s must be followed by NAME VALUE, got 1 of the two"],
  ])("%j is refused", (argv, expected) => {
    expect(message(() => parse(...argv))).toBe(expected);
  });

  test("what is not offered is told or refused by the table, unless its value asks for nothing", () => {
    const notes: string[] = [];
    const check = (...argv: string[]) =>
      OVEN.check(parse(...argv).values, { where: "oven", prefix: "--", onNote: (note) => notes.push(note) });
    expect(message(() => check("--microwave"))).toBe("oven: --microwave is not offered; it is an oven");
    expect(check("--microwave", "false", "--gas_mark", "null")).toEqual({});
    expect(notes).toEqual([]);
    expect(check("--gas_mark", "4")).toEqual({});
    expect(notes).toEqual(["oven: --gas_mark has no effect; give heat"]);
  });

  test("ranges are checked by the table, under the flag's name", () => {
    const { values } = parse("--recipe", "pie", "--heat", "301");
    expect(message(() => OVEN.resolve(values, { where: "oven", prefix: "--" }))).toBe(
      "oven: --heat must be >= 0 and <= 300, got 301; the default is 180",
    );
    expect(message(() => OVEN.resolve({}, { where: "oven", prefix: "--" }))).toBe("oven: --recipe must be given; What to bake");
  });
});

describe("table", () => {
  test("resolve fills in fresh defaults", () => {
    const values = OVEN.resolve({ recipe: "pie" }, { where: "oven" });
    expect(values).toEqual({ recipe: "pie", heat: 180, minutes: 30, fan: true, note: null, spices: null, guest: [], timer: null, set: [] });
    values.guest.push("Ada");
    expect(OVEN.defaults().guest).toEqual([]);
  });

  test("a table whose default breaks its own rule cannot be made", () => {
    expect(message(() => defineOptions("Bad", { heat: { type: "number", default: -1, min: 0, help: "Temperature" } }))).toBe(
      "default in Bad: heat must be >= 0, got -1; the default is -1",
    );
    expect(message(() => defineOptions("Bad", { heat: { type: "number", help: "Temperature" } }))).toMatch(
      /without a default must be nullable or required/,
    );
  });

  test("an object of JSON is copied, and nothing else is taken for one", () => {
    const given = { after: { minutes: [1, null] } };
    const { timer } = OVEN.resolve({ recipe: "pie", timer: given }, { where: "oven" });
    expect(timer).toEqual(given);
    expect(timer!.after).not.toBe(given.after);
    for (const wrong of [[1], "{}", 3, new Date(0), { after: NaN }, { after: undefined }, { after: () => 1 }])
      expect(message(() => OVEN.check({ timer: wrong }, { where: "oven" }))).toMatch(/^oven: timer must be a JSON object or null, got /);
    expect(formatHelp(OVEN)).toContain("--timer JSON");
  });

  test("a choice may be refused with a reason", () => {
    const table = defineOptions("Dish", {
      form: { type: "string", choices: ["pie", "cake"], refusedChoices: { soup: "it runs" }, default: "pie", help: "What it is" },
    });
    expect(message(() => table.check({ form: "soup" }, { where: "dish", prefix: "--" }))).toBe(
      'dish: --form "soup" is not offered; it runs',
    );
  });

  test("help and Markdown show every option once", () => {
    const help = formatHelp(OVEN, 60);
    for (const name of OVEN.specs.keys()) expect(help.match(new RegExp(`--${name} `, "g")), name).toHaveLength(1);
    expect(help).toContain("  --heat NUMBER\n        Temperature [°C] (default 180)");
    expect(help).toContain("  -s, --set NAME VALUE");
    expect(help.split("\n").every((line) => line.length <= 60)).toBe(true);
    const rows = formatMarkdown(OVEN).split("\n").slice(4);
    expect(rows).toHaveLength(OVEN.specs.size);
    expect(rows[1]).toBe("| `heat` | a number >= 0 and <= 300 | `180` | Temperature [°C] |");
    expect(rows[0]).toBe("| `recipe` | a string | required | What to bake |");
  });
});

describe("config files", () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "preflab-config-"));
  });
  afterAll(() => {
    rmSync(folder, { recursive: true });
  });
  const write = (name: string, text: string): string => {
    const path = join(folder, name);
    writeFileSync(path, text);
    return path;
  };
  const failure = async (path: string): Promise<string> =>
    loadOptionFile(path).then(
      () => "nothing was thrown",
      (error: ConfigError) => `${error.code}: ${error.message.replace(folder, "")}`,
    );

  test("YAML and JSON give the same values", async () => {
    const expected = { heat: 1e-6, fan: false, spices: ["salt", "mint"], note: null };
    expect(await loadOptionFile(write("a.yaml", "# oven\nheat: 1e-6\nfan: false\nspices: [salt, mint]\nnote: null\n"))).toEqual(expected);
    expect(await loadOptionFile(write("a.json", JSON.stringify(expected)))).toEqual(expected);
    expect(await loadOptionFile(write("empty.yml", "# nothing\n"))).toEqual({});
  });

  test("what is no mapping, malformed or absent is refused", async () => {
    expect(await failure(write("list.yaml", "- a\n- b\n"))).toBe("config_file: /list.yaml: must map option names to values, got a list");
    expect(await failure(write("text.json", '"a"'))).toBe("config_file: /text.json: must map option names to values, got string");
    expect(await failure(write("bad.yaml", "a: [1\n"))).toMatch(/^config_file: \/bad\.yaml: must be YAML; /);
    expect(await failure(write("twice.yaml", "a: 1\na: 2\n"))).toMatch(/^config_file: \/twice\.yaml: must be YAML; .*unique/);
    expect(await failure(write("bad.json", "{"))).toMatch(/^config_file: \/bad\.json: must be JSON; /);
    expect(await failure(join(folder, "absent.yaml"))).toMatch(/^config_file: --config \/absent\.yaml: the file cannot be read; /);
    expect(await failure(write("a.txt", ""))).toMatch(/^config_file: --config must be a \.yaml, \.yml or \.json file/);
  });
});
