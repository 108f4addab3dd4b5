/** Writes docs/options.md and docs/parity.md from the options tables. */
import { writeFileSync } from "node:fs";
import { formatOptionDocs } from "../src/cli/optionDocs.js";
import { formatParity, readReference } from "./parity.js";

const { reference, checked } = readReference(".");
writeFileSync("docs/options.md", await formatOptionDocs());
writeFileSync("docs/parity.md", formatParity(reference, checked));
