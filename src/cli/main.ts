import { nearestName, PreflabError } from "../errors.js";
import { type Command, formatCommandHelp, type Work } from "./command.js";
import { ownManifest } from "./manifest.js";

/** The `preflab` commands, in the order of a student's work. Only the one that is called is loaded. */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  doctor: async () => (await import("./doctor.js")).doctor,
  sft: async () => (await import("./sft.js")).sft,
  dpo: async () => (await import("./dpo.js")).dpo,
  kto: async () => (await import("./kto.js")).kto,
  cpo: async () => (await import("./cpo.js")).cpo,
  orpo: async () => (await import("./orpo.js")).orpo,
  sweep: async () => (await import("./sweep.js")).sweep,
  worker: async () => (await import("./worker.js")).worker,
  reproduce: async () => (await import("./reproduce.js")).reproduce,
  generate: async () => (await import("./generate.js")).generate,
  evaluate: async () => (await import("./evaluate.js")).evaluate,
  app: async () => (await import("./app.js")).app,
  push: async () => (await import("./push.js")).push,
  "hub-serve": async () => (await import("./hubServe.js")).hubServe,
  run: async () => (await import("./run.js")).run,
  check: async () => (await import("./check.js")).check,
  assign: async () => (await import("./assign.js")).assign,
  grade: async () => (await import("./grade.js")).grade,
  kernel: async () => (await import("./kernel.js")).kernel,
};

/** All of them, for help and documentation. */
export async function loadCommands(): Promise<Command[]> {
  return Promise.all(Object.values(COMMANDS).map(async (load) => load()));
}

/** Exit codes: 0 done, 1 it failed while running, 2 the command line is wrong, 130 ctrl-C. */
export async function main(argv: readonly string[]): Promise<number> {
  const [name, ...rest] = argv;
  if (name === "--version" || name === "-V") return print(ownManifest().version);
  if (name === "--help" || name === "-h" || name === "help") return print(await formatOverview());
  if (name === undefined) return complain(await formatOverview());
  if (!Object.hasOwn(COMMANDS, name)) {
    const names = Object.keys(COMMANDS);
    const nearest = nearestName(name, names);
    return complain(
      `preflab: unknown command ${name}; ${nearest === undefined ? `known: ${names.join(", ")}` : `did you mean ${nearest}?`}`,
    );
  }
  const command = await COMMANDS[name]!();
  if (asksForHelp(rest)) return print(formatCommandHelp(command));

  let work: Work;
  try {
    work = await command.prepare(rest);
  } catch (error) {
    if (!(error instanceof PreflabError)) return report(error);
    return complain(`${error.message}\nSee preflab ${command.name} --help`);
  }
  try {
    return await work();
  } catch (error) {
    return report(error);
  }
}

function asksForHelp(argv: readonly string[]): boolean {
  const flags = argv.includes("--") ? argv.slice(0, argv.indexOf("--")) : argv;
  return flags.includes("--help") || flags.includes("-h");
}

async function formatOverview(): Promise<string> {
  const commands = await loadCommands();
  const width = Math.max(...commands.map(({ name }) => name.length));
  const lines = commands.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary.split(". ")[0]!.replace(/\.$/, "")}`);
  return ["preflab COMMAND [flags]", "", ...lines, "", "preflab COMMAND --help shows its flags; preflab --version the version."].join("\n");
}

function print(text: string): number {
  console.log(text);
  return 0;
}

function complain(text: string): number {
  console.error(text);
  return 2;
}

/** PREFLAB_DEBUG=1 adds the stack. */
function report(error: unknown): number {
  const debug = (process.env["PREFLAB_DEBUG"] ?? "0") !== "0";
  const text =
    error instanceof Error
      ? debug
        ? (error.stack ?? error.message)
        : `${error instanceof PreflabError ? "" : `${error.name}: `}${error.message}`
      : String(error);
  console.error(text);
  return 1;
}
