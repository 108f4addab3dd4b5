import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { preflab } from "./command.js";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "preflab-cli-hub-"));
});
afterAll(() => rmSync(folder, { recursive: true }));
const write = (name: string, text: string): string => {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
};

describe("hub-serve and push: a wrong command line", () => {
  test("ends with exit code 2, the reason, and no token", async () => {
    const secret = "hf_verysecret123";
    const cases: [string[], RegExp][] = [
      [["hub-serve"], /^preflab hub-serve: one DIR must be given, got none/],
      [["hub-serve", folder, "--port", "70000"], /--port must be an integer from 0 to 65535|--port must be .*65535/],
      [["hub-serve", folder, "--reader", "bob"], /--reader must name users that have a token, got bob/],
      [["hub-serve", folder, "--tokens_file", join(folder, "none.json")], /--tokens_file .*none.json must be a JSON object .*got ENOENT/],
      [
        ["hub-serve", folder, "--tokens_file", write("text.json", secret)],
        /must be a JSON object of users and their tokens, got something else/,
      ],
      [["hub-serve", folder, "--tokens_file", write("list.json", JSON.stringify([secret]))], /must be a JSON object/],
      [["hub-serve", folder, "--tokens_file", write("number.json", '{"bob": 5}')], /got something else for bob/],
      [["push", folder], /^preflab push: FOLDER and REPO_ID must be given, got /],
      [["push", folder, "a/b", "--repo_type", "space"], /--repo_type must be one of model, dataset, got "space"/],
    ];
    for (const [argv, message] of cases) {
      const { code, stdout, stderr } = await preflab(argv);
      expect([code, stdout], argv.join(" ")).toEqual([2, ""]);
      expect(stderr).toMatch(message);
      expect(stderr).not.toContain(secret);
    }
    const wrong = await preflab(["hub-serve", join(folder, "hub"), "--token", "al ice", secret]);
    expect(wrong).toMatchObject({ code: 1, stdout: "", stderr: expect.stringMatching(/^hub-serve: a name must be 1 to 40 letters/) });
    expect(wrong.stderr).not.toContain(secret);
    expect(await preflab(["push", folder, "a/b"], { env: { HF_HOME: folder, HF_TOKEN: "" } })).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^upload_folder: an access token must be there, got none; set HF_TOKEN/),
    });
  });
});

describe("the README's way, without the training", () => {
  test("a folder is pushed to a hub of one's own and read from it; ctrl-C ends the hub", async () => {
    const token = "hf_classroom";
    const hub = join(folder, "class");
    let pushed: Promise<Awaited<ReturnType<typeof preflab>>[]> | undefined;
    const served = await preflab(["hub-serve", hub, "--port", "0", "--token", "alice", token, "--organization", "class"], {
      onOutput: (stdout, child) => {
        const url = /HF_ENDPOINT=(http:\S+)/.exec(stdout)?.[1];
        if (url === undefined || pushed !== undefined) return;
        const env = { HF_ENDPOINT: url, HF_TOKEN: token, HF_HOME: join(folder, "hf") };
        const run = join(import.meta.dirname, "../golden/lora_final");
        pushed = (async () => {
          const first = await preflab(["push", run, "class/adapter", "--private"], { env });
          const proposed = await preflab(["push", run, "class/adapter", "--create_pr", "--commit_message", "Again"], { env });
          child.kill("SIGINT");
          return [first, proposed];
        })();
      },
    });
    const [first, proposed] = (await pushed)!;
    expect(first).toMatchObject({
      code: 0,
      stderr: "",
      stdout: expect.stringMatching(/^class\/adapter {2}uploaded .*\nhttp:\S+\/class\/adapter has commit [0-9a-f]{7}\n$/),
    });
    expect(proposed!.stdout).toMatch(/\/class\/adapter\/discussions\/1 has commit/);
    expect(served.code).toBe(0);
    expect(served.stdout).toMatch(/for alice; ctrl-C ends it\n/);
    expect(served.stdout).toMatch(/ alice POST \/api\/models\/class\/adapter\/commit\/main 200\n/);
    for (const { stdout, stderr } of [served, first!, proposed!]) expect(stdout + stderr).not.toContain(token);
    expect(served.stdout).not.toContain("signature");
    expect(existsSync(join(hub, ".served-by"))).toBe(false);
  });
});
