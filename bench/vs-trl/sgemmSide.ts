/** Plain sgemm in a process of its own, with weights of its own. */
import { CompiledEngine } from "../../src/compile/index.js";
import { shapeConfig } from "../shared/models.js";
import { plainSgemm } from "../shared/sgemm.js";
import type { SgemmRequest } from "./requests.js";

/** GFLOP/s of the machine at this moment. */
export async function measureSgemm({ shape, threads, tokens, scored }: SgemmRequest): Promise<number> {
  const engine = new CompiledEngine({ threads });
  try {
    const measure = await plainSgemm(engine, shapeConfig(shape), { tokens, scored });
    return await measure();
  } finally {
    await engine.dispose();
  }
}
