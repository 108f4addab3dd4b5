/** Every case of the contract suite, by subject. */
import type { ContractCase } from "../contractCase.js";
import { binaryCases } from "./binary.js";
import { elementwiseCases } from "./elementwise.js";
import { emptyCases } from "./empties.js";
import { fusedCases } from "./fused.js";
import { indexingCases } from "./indexing.js";
import { layoutCases } from "./layout.js";
import { lossCases } from "./losses.js";
import { preferenceCases } from "./preference.js";
import { productCases } from "./products.js";
import { reductionCases } from "./reductions.js";

export const cases: Record<string, ContractCase[]> = {
  elementwise: elementwiseCases,
  binary: binaryCases,
  reductions: reductionCases,
  layout: layoutCases,
  indexing: indexingCases,
  products: productCases,
  losses: lossCases,
  empties: emptyCases,
  fused: fusedCases,
  preference: preferenceCases,
};
