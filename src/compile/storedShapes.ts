/**
 * What the calling thread knows of the worker's store. Calls are queued without waiting, so it counts with what they will
 * do; what a call promised is taken back if it fails or is aborted.
 */
import { EngineError, nearestName } from "../errors.js";
import { sizeOf } from "./graph.js";
import { DTYPE_BYTES } from "./hostTensor.js";
import type { StoredShape } from "./protocol.js";

export class StoredShapes {
  readonly #known = new Map<string, StoredShape>();
  /** By call, in the order of the calls: what it will leave under each name, null if nothing. */
  readonly #promised = new Map<number, Map<string, StoredShape | null>>();

  /** When each name was given its value, counted in changes. */
  readonly #versions = new Map<string, number>();
  #changes = 0;

  promise(call: number, changes: Iterable<StoredShape | { name: string; removed: true }>): void {
    const byName = new Map<string, StoredShape | null>();
    for (const change of changes) byName.set(change.name, "removed" in change ? null : change);
    if (byName.size > 0) this.#promised.set(call, byName);
    for (const [name, stored] of byName) if (stored !== null) this.#versions.set(name, ++this.#changes);
  }

  /** Counts a change of tensors where they are. A call that fails counts too: they may then be anything. */
  touch(names: Iterable<string>): void {
    for (const name of names) this.#versions.set(this.#whole(name), ++this.#changes);
  }

  /** A view has changed when any part of its tensor has. */
  version(names: Iterable<string>): number {
    const counts = [...names].flatMap((name) => [this.#versions.get(name) ?? 0, this.#versions.get(this.#whole(name)) ?? 0]);
    return counts.reduce((last, count) => Math.max(last, count), 0);
  }

  /** The tensor that a view is part of; of any other, itself. */
  #whole(name: string): string {
    const from = this.#find(name)?.viewOf;
    return from === undefined ? name : this.#whole(from);
  }

  keep(call: number): void {
    for (const [name, stored] of this.#promised.get(call) ?? []) {
      if (stored !== null) this.#known.set(name, stored);
      else {
        this.#known.delete(name);
        if (![...this.#promised.values()].some((later) => later.get(name))) this.#versions.delete(name);
      }
    }
    this.#promised.delete(call);
  }

  takeBack(call: number): void {
    this.#promised.delete(call);
  }

  clear(): void {
    this.#known.clear();
    this.#promised.clear();
  }

  has(name: string): boolean {
    return this.#find(name) !== undefined;
  }

  /** @throws EngineError `unknown_tensor` */
  get(name: string): StoredShape {
    const stored = this.#find(name);
    if (stored !== undefined) return stored;
    const near = nearestName(name, this.names());
    throw new EngineError(
      "unknown_tensor",
      `store: no tensor "${name}"${near === undefined ? "" : `; did you mean "${near}"?`}; put or load it first`,
    );
  }

  bytes(): number {
    const owned = this.names().map((name) => this.get(name));
    return owned.reduce((sum, { dtype, shape, viewOf }) => sum + (viewOf !== undefined ? 0 : DTYPE_BYTES[dtype] * sizeOf(shape)), 0);
  }

  /** In the order in which they came. */
  names(): string[] {
    const names = new Set(this.#known.keys());
    for (const changes of this.#promised.values()) for (const name of changes.keys()) names.add(name);
    return [...names].filter((name) => this.has(name));
  }

  #find(name: string): StoredShape | undefined {
    let stored: StoredShape | null | undefined = this.#known.get(name);
    for (const changes of this.#promised.values()) if (changes.has(name)) stored = changes.get(name);
    return stored ?? undefined;
  }
}
