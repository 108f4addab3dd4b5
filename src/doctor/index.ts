import { findHubLogin, type HubLogin } from "./hubLogin.js";
import { findJupyter, type Jupyter } from "./jupyter.js";
import { describeMachine, type Machine } from "./machine.js";
import { type Finding, tryBackends, type TryOptions } from "./tries.js";

/** What `preflab doctor --json` prints. */
export interface Diagnosis {
  preflab: string;
  machine: Machine;
  backends: Finding[];
  jupyter: Jupyter;
  hub: HubLogin;
}

/** Looks at this machine and tries every backend. Takes a few seconds.
 *  @param manifest version and engines of Preflab's own package.json */
export async function diagnose(manifest: { version: string; engines: { node: string } }, options: TryOptions = {}): Promise<Diagnosis> {
  return {
    preflab: manifest.version,
    machine: describeMachine(manifest.engines.node),
    backends: await tryBackends(undefined, options),
    jupyter: await findJupyter(),
    hub: findHubLogin(),
  };
}

/** The diagnosis for people: what works first, then what is missing and what to do about it. */
export function formatDiagnosis({ preflab, machine, backends, jupyter, hub }: Diagnosis): string {
  const rows: [string, string][] = [
    ["Preflab", preflab],
    ["Node", machine.nodeIsSupported ? machine.node : `${machine.node}: too old, needs ${machine.nodeNeeded}`],
    ["System", machine.platform],
    ["Processor", `${machine.processor}, ${machine.threads} threads`],
    ["Memory", `${gibibytes(machine.memoryTotal)}, ${gibibytes(machine.memoryFree)} free`],
    [
      "Jupyter",
      `${jupyter.version ?? "no jupyter command"}; ${jupyter.kernelspecs.length === 0 ? "no Preflab kernel installed" : `kernel in ${jupyter.kernelspecs.join(", ")}`}`,
    ],
    ["Hub login", hub.source === null ? "none" : `token from ${hub.source}`],
  ];
  const marks = { works: "ok", fails: "FAILS", absent: "-" };
  const table = backends.map((found): [string, string, string, string] => [
    found.title,
    marks[found.status],
    found.speed === undefined ? "" : `${found.speed} GFLOP/s`,
    [found.choose ?? found.reason ?? "", ...(found.limit === undefined ? [] : [found.limit])].join("; "),
  ]);
  const advice = [
    ...(machine.nodeIsSupported ? [] : [`Node: install ${machine.nodeNeeded}`]),
    ...backends.flatMap((found) => (found.install === undefined ? [] : [`${found.title}: ${found.install}`])),
    ...jupyter.install.map((what) => `Jupyter: ${what}`),
    ...hub.install.map((what) => `Hub login: ${what}`),
  ];
  return [
    ...alignColumns(rows),
    "",
    "Arithmetic (each tried with a matrix product that is checked against plain JavaScript)",
    ...alignColumns(table).map((line) => `  ${line}`),
    ...(advice.length === 0 ? [] : ["", "To get what is missing", ...advice.map((line) => `  ${line}`)]),
  ].join("\n");
}

function alignColumns(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join("  ")
      .trimEnd(),
  );
}

function gibibytes(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(1)} GiB`;
}
