import { createRequire } from "node:module";
import { join } from "node:path";
import { PROTOCOL_VERSION } from "../src/notebook/wire.js";
import { packageRoot } from "./user/resolution.js";

const require = createRequire(import.meta.url);
const { version } = require(join(packageRoot(), "package.json")) as { version: string };
const tslab = require("tslab/package.json") as { version: string; dependencies: Record<string, string> };

/** Content of kernel_info_reply. The language version is that of the TypeScript that tslab ships. */
export const KERNEL_INFO = {
  protocol_version: PROTOCOL_VERSION,
  implementation: "preflab",
  implementation_version: version,
  language_info: {
    name: "typescript",
    version: tslab.dependencies["@tslab/typescript-for-tslab"] ?? "",
    mimetype: "text/typescript",
    file_extension: ".ts",
    pygments_lexer: "typescript",
    codemirror_mode: { name: "javascript", typescript: true },
  },
  banner: `Preflab ${version}: TypeScript for Jupyter (tslab ${tslab.version}, Node.js ${process.version})`,
  help_links: [{ text: "TypeScript handbook", url: "https://www.typescriptlang.org/docs/handbook/" }],
  debugger: false,
};
