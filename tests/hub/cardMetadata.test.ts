/** The head of a card: how it is written, and the Hub's rules for it. */
import { spawnSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { cardFaults, requireCardMetadata } from "../../src/hub/index.js";
import { formatFrontMatter, parseFrontMatter } from "../../src/hub/card/frontMatter.js";
import { requirePublic } from "../../src/hub/card/privacy.js";
import { Random } from "../../src/random.js";

const python = process.env["PREFLAB_PYTHON"] ?? "python3";
const probe = spawnSync(python, ["-c", "import yaml, huggingface_hub"], { encoding: "utf8" });
const reason =
  probe.error !== undefined ? `there is no ${python}` : probe.status !== 0 ? `${python} lacks yaml or huggingface_hub` : undefined;
const skipped = reason === undefined ? "" : ` (skipped: ${reason}; set PREFLAB_PYTHON to a Python that has them)`;

const STRINGS = [
  ...[
    "yes",
    "no",
    "On",
    "~",
    "null",
    "1e3",
    "1_000",
    "0x1F",
    "017",
    "12:30",
    "2020-01-01",
    ".5",
    ".inf",
    "=",
    "<<",
    "-",
    "- a",
    "a: b",
    "a #b",
  ],
  ...[
    "@x",
    "`x`",
    "%x",
    "&x",
    "*x",
    "!x",
    "|",
    ">",
    "{a}",
    "[a]",
    '"',
    "'",
    "عربي: نعم",
    "مرحبا\nبك",
    " lead",
    "trail ",
    "tab\there",
    "",
    "é\u2028x",
  ],
  ...["x".repeat(300), `${"long words ".repeat(30)}end`, "---", "...", "true", "1.0", "+1", "-0", "0o17", "1e-7", "\u0007bell", "😀"],
];
const NUMBERS = [0, -0, 1, -1, 0.1, 1e-7, 3.2e-7, 1e21, 1.5e300, 5e-324, -1e-9, 123456789.125, 2 ** 53];

describe("the YAML head", () => {
  const data = { strings: STRINGS, numbers: NUMBERS, nested: [{ name: "yes", results: [{ value: 1e-7, no: true, empty: [], none: {} }] }] };

  test("comes back as it was", () => {
    expect(parseFrontMatter(`${formatFrontMatter(data)}\n# body\n---\nnot this\n`)).toEqual({ ...data, numbers: data.numbers });
    expect(parseFrontMatter("# no head")).toBeUndefined();
    expect(parseFrontMatter("---\n- a list\n---\n")).toBeUndefined();
  });

  test.skipIf(reason !== undefined)(`Python's YAML reads the same values, also of random texts${skipped}`, () => {
    const random = new Random(5);
    const alphabet = [..." :#-?[]{},&*!|>'\"%@`abn01._~=<\n\té\u0085م"];
    const texts = Array.from({ length: 300 }, () =>
      Array.from({ length: 1 + random.integer(8) }, () => alphabet[random.integer(alphabet.length)]!).join(""),
    );
    const floats = Array.from({ length: 200 }, () => (random.uniform() - 0.5) * 10 ** (random.integer(40) - 20));
    const all = { ...data, texts, floats };
    const script = "import sys, json, yaml; print(json.dumps(next(yaml.safe_load_all(sys.stdin.buffer.read().decode()))))";
    const { stdout, stderr } = spawnSync(python, ["-c", script], { input: formatFrontMatter(all).replace(/---\n$/, ""), encoding: "utf8" });
    expect(stderr).toBe("");
    const back = JSON.parse(stdout) as typeof all;
    expect(back).toEqual(JSON.parse(JSON.stringify(all)));
  });
});

describe("the Hub's rules", () => {
  const good = {
    base_model: "Qwen/Qwen2-0.5B",
    datasets: ["jondurbin/truthy-dpo-v0.1", "squad"],
    language: ["ar", "en", "arz", "code"],
    library_name: "peft",
    license: "apache-2.0",
    pipeline_tag: "text-generation",
    tags: ["dpo"],
    "model-index": [
      {
        name: "m",
        results: [{ task: { type: "text-generation" }, dataset: { type: "custom", name: "d" }, metrics: [{ type: "loss", value: 0.5 }] }],
      },
    ],
  };
  const index = (change: object) => ({ "model-index": [{ name: "m", results: [{ ...good["model-index"][0]!.results[0]!, ...change }] }] });

  test("a good card has no faults", () => {
    expect(cardFaults(good, "model")).toEqual([]);
    expect(() => requireCardMetadata(good, "model")).not.toThrow();
    expect(cardFaults({ license: "other", license_name: "mine", license_link: "LICENSE" }, "model")).toEqual([]);
  });

  test.each<[object, string]>([
    [{ licence: "license" }, "licence: unknown key; did you mean license?"],
    [{ license: "apache2.0" }, 'license: must be an identifier of the Hub, got "apache2.0"; did you mean apache-2.0?'],
    [
      { license: "our own terms of use" },
      'license: must be an identifier of the Hub, got "our own terms of use"; write "other" with license_name and license_link',
    ],
    [{ license: "other" }, 'license: "other" needs license_name, got none; name the licence, and put its text or a link into license_link'],
    [
      { language: "arabic" },
      'language: must be an ISO 639 code of two or three letters, "code" or "multilingual", got "arabic"; e.g. ar, en, fr',
    ],
    [
      { language: ["en", "zz"] },
      'language: must be an ISO 639 code of two or three letters, "code" or "multilingual", got "zz"; e.g. ar, en, fr',
    ],
    [
      { base_model: "/models/qwen" },
      'base_model: must be an id on the Hub, got "/models/qwen"; leave out what is not there, and paths of this machine',
    ],
    [{ tags: ["a", null] }, "tags: must be a list of texts, got null in it; leave it out or name it"],
    [{ library_name: 3 }, "library_name: must be text, got 3; write one"],
    [{ "model-index": {} }, "model-index: must be a list, got object; write [{ name, results }]"],
    [{ "model-index": [{ results: [] }] }, "model-index[0].name: must be text, got none; write the model's name"],
    [index({ dataset: { type: "custom" } }), "model-index[0].results[0].dataset.name: must be text, got undefined; it is required"],
    [index({ metrics: [] }), "model-index[0].results[0].metrics: must be a list with a metric, got none; leave the result out"],
    [
      index({ metrics: [{ type: "loss" }] }),
      "model-index[0].results[0].metrics[0].value: must be what was measured, got none; leave the metric out",
    ],
    [
      index({ metrics: [{ type: "loss", value: NaN }] }),
      "model-index[0].results[0].metrics[0].value: must be what was measured, got null; leave the metric out",
    ],
  ])("%j", (change, fault) => {
    const data = { ...good, ...change };
    expect(cardFaults(data, "model")).toEqual([fault]);
    expect(() => requireCardMetadata(data, "model")).toThrow(expect.objectContaining({ code: "card_metadata", name: "HubError" }) as Error);
  });

  test.each<[object, string | RegExp]>([
    [
      { dataset_info: { features: [{ name: "a" }] } },
      'dataset_info.features[0]: must have name and dtype, list, sequence, struct, got {"name":"a"}; complete it',
    ],
    [{ dataset_info: [{}] }, "dataset_info[0].config_name: must be text where there are several, got none; name it"],
    [{ size_categories: ["few"] }, /^size_categories: must be one of n<1K, .*, got "few"; choose by the number of rows$/],
    [{ base_model: "a/b" }, /^base_model: unknown key; /],
  ])("of a data set: %j", (data, fault) => {
    expect(cardFaults(data as Record<string, unknown>, "dataset")).toEqual([
      typeof fault === "string" ? fault : expect.stringMatching(fault),
    ]);
  });
});

test.each([
  ["a token", `key: hf_${"a".repeat(34)}`, /^card: it must hold nothing private, got an access token "hf_aaa…" in line 2; take it out/],
  ["a home", "see /home/alice/data.jsonl", /got a path of this machine "\/home\/…" in line 2/],
  ["a home on Windows", String.raw`see C:\Users\alice\x`, /got a path of this machine/],
  ["a known path", "in /srv/lab/run-1", /got a path of this machine "\/srv\/l…" in line 2/],
])("%s is refused, without repeating it", (_, text, message) => {
  let error: unknown;
  try {
    requirePublic(`# x\n${text}\n`, ["/srv/lab/run-1"]);
  } catch (thrown) {
    error = thrown;
  }
  expect(error).toMatchObject({ code: "card_private", message: expect.stringMatching(message) });
  expect(() => requirePublic("# x\nhttps://huggingface.co/home/x and hf_short\n", ["/srv/lab/run-1"])).not.toThrow();
});
