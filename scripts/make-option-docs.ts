/** Writes docs/options.md from the options tables. */
import { writeFileSync } from "node:fs";
import { formatOptionDocs } from "../src/cli/optionDocs.js";

writeFileSync("docs/options.md", formatOptionDocs());
