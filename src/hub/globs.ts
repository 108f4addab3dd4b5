/** Patterns of `.gitattributes` (which files are large) and `.gitignore` (which are left out). */

/** A pattern of git: without a slash it means a name in any folder, with one a path from the top; `*` stops at slashes, `**` does not. */
function matches(pattern: string, path: string): boolean {
  const anchored = pattern.replace(/\/$/, "").includes("/");
  const clean = pattern.replace(/^\//, "").replace(/\/$/, "/**");
  const source = clean
    .split(/(\*\*\/|\*\*|\*|\?)/)
    .map((part) => {
      if (part === "**/") return "(?:.*/)?";
      if (part === "**") return ".*";
      if (part === "*") return "[^/]*";
      if (part === "?") return "[^/]";
      return part.replace(/[.+^${}()|[\]\\]/g, "\\$&");
    })
    .join("");
  return new RegExp(anchored ? `^${source}(/.*)?$` : `(^|/)${source}(/.*)?$`).test(path);
}

function linesOf(text: string): string[] {
  return text.split(/\r?\n/).filter((line) => line.trim() !== "" && !line.startsWith("#"));
}

/** Whether the attributes say that a file's content is kept apart (`filter=lfs`). The last line that matches decides. */
export function isLargeByAttributes(attributes: string, path: string): boolean {
  let large = false;
  for (const line of linesOf(attributes)) {
    const [pattern, ...words] = line.trim().split(/\s+/);
    if (!matches(pattern!, path)) continue;
    if (words.includes("filter=lfs")) large = true;
    else if (words.includes("-filter") || words.includes("!filter")) large = false;
  }
  return large;
}

/** Whether `.gitignore` leaves a file out. The last line that matches decides. */
export function isIgnored(ignore: string, path: string): boolean {
  let ignored = false;
  for (const line of linesOf(ignore)) {
    const negated = line.startsWith("!");
    if (matches(negated ? line.slice(1).trim() : line.trim(), path)) ignored = !negated;
  }
  return ignored;
}

/** Endings of files that are large in a fresh repository, as the Hub has them. */
const LARGE_ENDINGS =
  "7z arrow bin bz2 ckpt ftz gz h5 joblib mlmodel model msgpack npy npz onnx ot parquet pb pickle pkl pt pth rar safetensors tar tflite tgz wasm xz zip zst";

export const INITIAL_ATTRIBUTES = LARGE_ENDINGS.split(" ")
  .map((ending) => `*.${ending} filter=lfs diff=lfs merge=lfs -text\n`)
  .join("");
