import { open, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";

let writes = 0;

/**
 * Writes a file so that a reader sees the old content or the new, never a part: the bytes go to a temporary name in the same
 * directory, reach the disk, and are renamed. On failure the temporary file is removed and the old file is untouched.
 * @throws the file system's error
 */
export async function writeFileAtomic(path: string, content: string | Uint8Array): Promise<void> {
  writes += 1;
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}-${writes}.tmp`);
  try {
    const handle = await open(temporary, "w");
    try {
      await handle.writeFile(content);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}
