/** The child process of one try: opens the backend named on its command line, multiplies, and sends the outcome to its parent. */
import { BACKENDS } from "./backends.js";
import { openBackend } from "./multiply.js";
import { largestError, makeProduct } from "./product.js";

/** What a try found. `speed` in GFLOP/s of a [512, 512] × [512, 512] product, best of three; `limit` is what it cannot do
 *  although it multiplies. */
export type Outcome = { works: true; speed: number; limit?: string } | { works: false; reason: string };

/** Whole numbers of this size are exact in every precision, so that any real difference is larger. */
const TOLERANCE = 1e-3;
const SIZE = 512;

async function attempt(id: string): Promise<Outcome> {
  const backend = BACKENDS.find((candidate) => candidate.id === id);
  if (backend === undefined) return { works: false, reason: `unknown backend ${id}` };
  try {
    const { multiply, limit } = await openBackend(backend);
    const product = makeProduct();
    const error = largestError(product, await multiply(product));
    if (!(error <= TOLERANCE)) return { works: false, reason: `its product is wrong: largest difference ${error} from plain arithmetic` };
    const large = makeProduct(SIZE, SIZE, SIZE);
    let fastest = Infinity;
    for (let i = 0; i < 3; i++) {
      const start = performance.now();
      await multiply(large);
      fastest = Math.min(fastest, performance.now() - start);
    }
    return { works: true, speed: (2 * SIZE ** 3) / (fastest * 1e6), limit: limit() };
  } catch (error) {
    return { works: false, reason: error instanceof Error ? error.message : String(error) };
  }
}

void attempt(process.argv[2] ?? "").then((outcome) => {
  // Some native libraries keep threads that would keep the process alive.
  process.send?.(outcome, () => process.exit(0));
});
