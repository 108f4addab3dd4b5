/** Answers to a front end that asks about code before it runs. */
import { createRequire } from "node:module";
import type { Converter } from "tslab/dist/converter.js";
import type { Request } from "../channel.js";

const require = createRequire(import.meta.url);

export type Assist = Extract<Request, { type: "complete" | "inspect" | "is_complete" }>;

export class CellAssistance {
  readonly #converter: Converter;

  constructor(converter: Converter) {
    this.#converter = converter;
  }

  /** @param declarations of the cells that have ended. Never throws: code half written can make the type checker fail. */
  answer(request: Assist, declarations: string): Record<string, unknown> {
    try {
      return this.#answer(request, declarations);
    } catch (error) {
      console.error(`preflab kernel: ${request.type}: ${(error as Error).message}`);
      return request.type === "is_complete" ? { status: "unknown" } : { matches: [], found: false, text: "" };
    }
  }

  #answer(request: Assist, declarations: string): Record<string, unknown> {
    if (request.type === "is_complete") {
      const { isCompleteCode } = require("tslab/dist/converter.js") as typeof import("tslab/dist/converter.js");
      const { completed, indent } = isCompleteCode(request.code);
      return completed ? { status: "complete" } : { status: "incomplete", indent: indent ?? "" };
    }
    const position = Math.max(0, Math.min(request.code.length, Math.trunc(request.position) || 0));
    if (request.type === "complete") {
      const found = this.#converter.complete(declarations, request.code, position);
      return { matches: found.candidates, start: found.start, end: found.end };
    }
    const { printQuickInfo } = require("tslab/dist/inspect.js") as { printQuickInfo: (info: unknown) => string };
    const info: unknown = this.#converter.inspect(declarations, request.code, position);
    return info === undefined || info === null ? { found: false, text: "" } : { found: true, text: printQuickInfo(info) };
  }
}
