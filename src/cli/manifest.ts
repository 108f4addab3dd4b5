import { createRequire } from "node:module";

/** Preflab's own package.json. It is found by the package's name, which holds from source and from the build. */
export function ownManifest(): { version: string; engines: { node: string } } {
  return createRequire(import.meta.url)("preflab/package.json") as { version: string; engines: { node: string } };
}
