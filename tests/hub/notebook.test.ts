/** The token stays out of notebooks: their outputs, their errors and the page made of them. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { preflab } from "../cli/command.js";
import { useHub } from "./useHub.js";

const scene = useHub();

test("a notebook that pushes, and one that fails at it, hold no token", async () => {
  const token = "hf_verysecretvalue123";
  scene.hub.addUser("dave", token);
  const push = 'console.log(await Dataset.from_rows([{ a: 1 }]).push_to_hub("dave/rows"));';
  const cell = (source: string) => ({ cell_type: "code", execution_count: null, metadata: {}, outputs: [], source });
  const notebook = join(scene.root, "push.ipynb");
  const cells = [cell('import { Dataset } from "preflab";'), cell(push), cell(push)];
  writeFileSync(notebook, JSON.stringify({ cells, metadata: {}, nbformat: 4, nbformat_minor: 5 }));
  // The second push is refused, by a server that repeats the token.
  let commits = 0;
  const order = (): void => scene.hub.fail({ match: /commit\/main/, status: 403, answer: `{"error": "Bearer ${token} may not"}` });
  scene.hub.listeners[0].on("request", ({ url }: { url: string }) => {
    if (url.includes("/commit/main") && ++commits === 1) setImmediate(order);
  });
  const [output, html] = [join(scene.root, "out.ipynb"), join(scene.root, "out.html")];
  const env = { HF_ENDPOINT: scene.hub.url, HF_TOKEN: token, HF_HOME: join(scene.root, "hf") };
  const result = await preflab(["run", notebook, "--output", output, "--html", html], { env, cwd: scene.root });
  expect(result.code, result.stderr).toBe(1);
  const [written, page] = [readFileSync(output, "utf8"), readFileSync(html, "utf8")];
  expect(written).toContain("/datasets/dave/rows");
  expect(written).toContain("got 403 (Bearer hf_… may not)");
  for (const text of [written, page, result.stdout, result.stderr]) expect(text).not.toContain(token);
});
