import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { findToken, hubSettings } from "../../src/hub/environment.js";

let home: string;
beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), "preflab-home-"));
  mkdirSync(join(home, ".cache/huggingface"), { recursive: true });
  writeFileSync(join(home, ".cache/huggingface/token"), "hf_file\n");
});
afterAll(() => rmSync(home, { recursive: true, force: true }));

test.each([
  [{}, "~/.cache/huggingface/hub"],
  [{ XDG_CACHE_HOME: "/xdg" }, "/xdg/huggingface/hub"],
  [{ XDG_CACHE_HOME: "/xdg", HF_HOME: "/hf" }, "/hf/hub"],
  [{ HF_HOME: "~/hf" }, "~/hf/hub"],
  [{ HF_HOME: "" }, "~/.cache/huggingface/hub"],
  [{ HF_HOME: "/hf", HUGGINGFACE_HUB_CACHE: "/old" }, "/old"],
  [{ HF_HOME: "/hf", HUGGINGFACE_HUB_CACHE: "/old", HF_HUB_CACHE: "/cache" }, "/cache"],
])("the cache of %j is %s", (variables, cacheDir) => {
  expect(hubSettings({}, { HOME: home, ...variables }).cacheDir).toBe(cacheDir.replace("~", home));
});

test("options come before variables", () => {
  const environment = { HOME: home, HF_HUB_CACHE: "/cache", HF_HUB_OFFLINE: "1", HF_TOKEN: "hf_variable" };
  const settings = hubSettings({ cache_dir: "/mine", local_files_only: false, token: " hf_option " }, environment);
  expect(settings).toMatchObject({ cacheDir: "/mine", offline: false, token: { value: "hf_option", source: "the option token" } });
  expect(hubSettings({ token: false }, environment)).toMatchObject({ offline: true, token: undefined });
});

test.each([
  [{ HF_TOKEN: "hf_a", HUGGING_FACE_HUB_TOKEN: "hf_b" }, "hf_a", "HF_TOKEN"],
  [{ HF_TOKEN: " ", HUGGING_FACE_HUB_TOKEN: "hf_b" }, "hf_b", "HUGGING_FACE_HUB_TOKEN"],
  [{}, "hf_file", "~/.cache/huggingface/token"],
  [{ HF_TOKEN_PATH: "~/.cache/huggingface/token", HF_HOME: "/nowhere" }, "hf_file", "~/.cache/huggingface/token"],
])("the token of %j is %s from %s", (variables, value, source) => {
  expect(findToken(undefined, { HOME: home, ...variables })).toEqual({ value, source: source.replace("~", home) });
});

test("there may be none", () => expect(findToken(undefined, { HOME: home, HF_HOME: "/nowhere" })).toBeUndefined());

test.each(["1", "true", "YES", "On"])("HF_HUB_OFFLINE=%s is offline", (value) => {
  expect(hubSettings({}, { HOME: home, HF_HUB_OFFLINE: value }).offline).toBe(true);
  expect(hubSettings({}, { HOME: home, TRANSFORMERS_OFFLINE: value }).offline).toBe(true);
  expect(hubSettings({}, { HOME: home, HF_HUB_OFFLINE: `${value}x` }).offline).toBe(false);
});

test("the endpoint is an address", () => {
  expect(hubSettings({}, { HOME: home }).endpoint).toBe("https://huggingface.co");
  expect(hubSettings({}, { HOME: home, HF_ENDPOINT: "http://hub.school:8080//" }).endpoint).toBe("http://hub.school:8080");
  for (const wrong of ["hub.school", "ftp://hub.school", "localhost:80"]) {
    expect(() => hubSettings({}, { HOME: home, HF_ENDPOINT: wrong })).toThrow(
      `HF_ENDPOINT: must be an http or https address, got "${wrong}"`,
    );
  }
});

test.each([
  [{}, 30_000],
  [{ HF_HUB_DOWNLOAD_TIMEOUT: "5" }, 5000],
  [{ HF_HUB_DOWNLOAD_TIMEOUT: "soon" }, 30_000],
])("the patience of %j is %d ms", (variables, timeoutMs) =>
  expect(hubSettings({}, { HOME: home, ...variables }).timeoutMs).toBe(timeoutMs),
);
