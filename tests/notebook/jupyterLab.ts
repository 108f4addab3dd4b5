/** JupyterLab's own server, with this package's kernel in a prefix of its own. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { installKernel } from "../../kernel-ext/install.js";
import type { Browser, Size } from "../app/browser.js";

/** The Python that has JupyterLab and nbconvert. */
export const python = process.env.PREFLAB_JUPYTER ?? process.env.PREFLAB_PYTHON ?? "python3";
const TOKEN = "preflab";

/** Whether Python has these modules. */
export function hasModules(...names: string[]): boolean {
  const code = `import importlib.util as u, sys; sys.exit(any(u.find_spec(name) is None for name in ${JSON.stringify(names)}))`;
  return spawnSync(python, ["-c", code]).status === 0;
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

export interface LabOptions {
  theme?: "light" | "dark";
  /** Whether it has the extension that draws widgets. */
  widgets?: boolean;
}

export class JupyterLab {
  readonly #child: ChildProcess;
  /** For its own files; the notebooks' folder is within. */
  readonly #root: string;
  readonly #url: string;
  readonly folder: string;
  #log = "";

  private constructor(root: string, port: number) {
    this.#root = root;
    this.folder = join(root, "notebooks");
    this.#url = `http://127.0.0.1:${port}`;
    mkdirSync(this.folder);
    this.configure();
    const flags = [
      ...["-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", `--port=${port}`],
      ...[`--ServerApp.root_dir=${this.folder}`, `--IdentityProvider.token=${TOKEN}`, "--LabApp.expose_app_in_browser=True"],
      ...["--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate", "--LabApp.news_url=None"],
    ];
    this.#child = spawn(python, flags, { stdio: ["ignore", "pipe", "pipe"], env: this.#env });
    for (const stream of [this.#child.stdout!, this.#child.stderr!]) stream.on("data", (part: Buffer) => (this.#log += part.toString()));
  }

  /** Nothing of this user's own Jupyter. */
  get #env(): NodeJS.ProcessEnv {
    const within = (...names: string[]): string => join(this.#root, ...names);
    return {
      ...process.env,
      JUPYTER_PATH: within("prefix", "share", "jupyter"),
      JUPYTER_CONFIG_DIR: within("config"),
      JUPYTER_DATA_DIR: within("data"),
      JUPYTER_RUNTIME_DIR: within("runtime"),
      JUPYTERLAB_SETTINGS_DIR: within("settings"),
      JUPYTERLAB_WORKSPACES_DIR: within("workspaces"),
    };
  }

  static async start(): Promise<JupyterLab> {
    const root = mkdtempSync(join(tmpdir(), "preflab-jupyterlab-"));
    await installKernel({ prefix: join(root, "prefix") });
    const lab = new JupyterLab(root, await freePort());
    const end = performance.now() + 60_000;
    while (
      !(await fetch(`${lab.#url}/api/status?token=${TOKEN}`).then(
        ({ ok }) => ok,
        () => false,
      ))
    ) {
      if (performance.now() > end || lab.#child.exitCode !== null) throw new Error(`JupyterLab did not start:\n${lab.#log}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    return lab;
  }

  /** For pages that are opened from now on: no news, no prompts; every cell is drawn, seen or not. */
  configure({ theme = "light", widgets = true }: LabOptions = {}): void {
    const settings: Record<string, unknown> = {
      "config/labconfig/page_config.json": {
        disabledExtensions: { "@jupyterlab/apputils-extension:announcements": true, "@jupyter-widgets/jupyterlab-manager": !widgets },
      },
      "settings/@jupyterlab/notebook-extension/tracker.jupyterlab-settings": { windowingMode: "none" },
      "settings/@jupyterlab/docmanager-extension/plugin.jupyterlab-settings": { autosave: false },
      "settings/@jupyterlab/apputils-extension/themes.jupyterlab-settings": {
        theme: theme === "light" ? "JupyterLab Light" : "JupyterLab Dark",
        "adaptive-theme": false,
      },
    };
    for (const [file, content] of Object.entries(settings)) {
      mkdirSync(join(this.#root, file, ".."), { recursive: true });
      writeFileSync(join(this.#root, file), JSON.stringify(content));
    }
  }

  /** Opens a notebook of the folder, alone in the window, and waits for its kernel. */
  async open(browser: Browser, name: string, size: Size): Promise<void> {
    await browser.open(`${this.#url}/lab/tree/${name}?token=${TOKEN}&reset`, size);
    await browser.until(`${NOTEBOOK}?.context.sessionContext.session?.kernel?.connectionStatus === "connected"`, 60);
    await browser.evaluate(`window.jupyterapp.shell.collapseLeft()`);
  }

  /** Runs the notebook's cell; resolves at once. @param at its index among all cells */
  async run(browser: Browser, at: number): Promise<void> {
    await browser.evaluate(
      `(() => { ${NOTEBOOK}.content.activeCellIndex = ${at}; void window.jupyterapp.commands.execute("notebook:run-cell"); })()`,
    );
  }

  async save(browser: Browser): Promise<void> {
    await browser.evaluate(`${NOTEBOOK}.context.save()`);
  }

  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once("exit", resolve));
    // The kernels too end with it.
    await fetch(`${this.#url}/api/shutdown?token=${TOKEN}`, { method: "POST" }).catch(() => this.#child.kill("SIGKILL"));
    await ended;
    rmSync(this.#root, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** The open notebook, in the page. */
export const NOTEBOOK = "window.jupyterapp.shell.currentWidget";

/** Its kernel, in the page. */
export const KERNEL = `${NOTEBOOK}.context.sessionContext.session.kernel`;

/** A cell's element, in the page. */
export const cell = (at: number): string => `document.querySelectorAll(".jp-Notebook .jp-Cell")[${at}]`;
