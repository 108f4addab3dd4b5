import { type HostTensors, hostTensor, rotaryAngles } from "../compile/index.js";
import type { Qwen2Config } from "./config.js";

/** The rotary angles of tokens at given positions, as the inputs `cos` and `sin` of a program, shape [T, hd/2] each. */
export function positionAngles({ head_dim, rope_theta }: Qwen2Config, positions: ArrayLike<number>): HostTensors {
  const { cos, sin } = rotaryAngles(positions, head_dim, rope_theta);
  const shape = [positions.length, head_dim / 2];
  return { cos: hostTensor(cos, shape), sin: hostTensor(sin, shape) };
}
