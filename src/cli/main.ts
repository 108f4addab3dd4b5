import { nearestName, PreflabError } from "../errors.js";
import { assign } from "./assign.js";
import { check } from "./check.js";
import { type Command, formatCommandHelp, type Work } from "./command.js";
import { app } from "./app.js";
import { cpo } from "./cpo.js";
import { doctor } from "./doctor.js";
import { dpo } from "./dpo.js";
import { evaluate } from "./evaluate.js";
import { generate } from "./generate.js";
import { grade } from "./grade.js";
import { hubServe } from "./hubServe.js";
import { kernel } from "./kernel.js";
import { kto } from "./kto.js";
import { ownManifest } from "./manifest.js";
import { orpo } from "./orpo.js";
import { push } from "./push.js";
import { reproduce } from "./reproduce.js";
import { run } from "./run.js";
import { sft } from "./sft.js";
import { sweep } from "./sweep.js";

/** The `preflab` commands, in the order of a student's work. */
export const COMMANDS: readonly Command[] = [
  ...[doctor, sft, dpo, kto, cpo, orpo, sweep, reproduce, generate, evaluate],
  ...[app, push, hubServe, run, check, assign, grade, kernel],
];

/** Exit codes: 0 done, 1 it failed while running, 2 the command line is wrong, 130 ctrl-C. */
export async function main(argv: readonly string[]): Promise<number> {
  const [name, ...rest] = argv;
  if (name === "--version" || name === "-V") return print(ownManifest().version);
  if (name === "--help" || name === "-h" || name === "help") return print(formatOverview());
  if (name === undefined) return complain(formatOverview());
  const command = COMMANDS.find((candidate) => candidate.name === name);
  if (command === undefined) {
    const names = COMMANDS.map((candidate) => candidate.name);
    const nearest = nearestName(name, names);
    return complain(
      `preflab: unknown command ${name}; ${nearest === undefined ? `known: ${names.join(", ")}` : `did you mean ${nearest}?`}`,
    );
  }
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

function formatOverview(): string {
  const width = Math.max(...COMMANDS.map(({ name }) => name.length));
  const lines = COMMANDS.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary.split(". ")[0]!.replace(/\.$/, "")}`);
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
