/**
 * Fresh memory is handed out by the kernel page by page, at the first touch: half a million faults for the weights of a 0.5B model. Where
 * Linux gives pages of 2 MiB only to those who ask (`madvise`, the usual setting), glibc asks if this tunable is set when a process starts.
 */
const TUNABLE = "glibc.malloc.hugetlb";

/** The environment with which to start a process that will hold a model. What the user has set stays.
 *  @returns a copy; the same on other systems than Linux */
export function withHugePages<E extends NodeJS.ProcessEnv>(env: E, platform: NodeJS.Platform = process.platform): E {
  const set = env["GLIBC_TUNABLES"] ?? "";
  if (platform !== "linux" || set.includes(TUNABLE)) return { ...env };
  return { ...env, GLIBC_TUNABLES: [set, `${TUNABLE}=1`].filter((part) => part !== "").join(":") };
}
