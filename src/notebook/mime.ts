/** MIME bundles: one value in several forms, of which the front end picks the richest that it knows. */
import { inspect } from "node:util";
import { ConfigError } from "../errors.js";

/** MIME type → content: text, base64 text for binary types, or JSON for types that end in `+json`. */
export interface MimeBundle {
  [mime: string]: unknown;
}

export const displaySymbol: unique symbol = Symbol.for("Jupyter.display") as never;

/** A value that knows how it wants to be shown. */
export interface Displayable {
  [displaySymbol](): MimeBundle | Promise<MimeBundle>;
}

/** A bundle as it goes over the wire: bytes become base64. @throws ConfigError when it is not an object of MIME type → content */
export function checkBundle(bundle: unknown): MimeBundle {
  const ok =
    typeof bundle === "object" &&
    bundle !== null &&
    !Array.isArray(bundle) &&
    Object.keys(bundle).length > 0 &&
    Object.keys(bundle).every((mime) => /^[\w.+-]+\/[\w.+-]+$/.test(mime));
  if (!ok) {
    throw new ConfigError(
      "mime_bundle",
      `Jupyter.display: must return an object of MIME type → content, got ${inspect(bundle, { depth: 0 })}; return for example { "text/html": "<b>hi</b>" }`,
    );
  }
  const encoded: MimeBundle = {};
  for (const [mime, content] of Object.entries(bundle))
    encoded[mime] = content instanceof Uint8Array ? Buffer.from(content).toString("base64") : content;
  return encoded;
}
