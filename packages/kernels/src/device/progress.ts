// A hook before each op of a device, by which other ranks see that this process makes progress.

/** Called before each op that any device runs; undefined in a run of one process. */
export const progress: { onOp: (() => void) | undefined } = { onOp: undefined };
