// What sees that this process makes progress: each op of a device is a sign of it.

/** Called before each op that any device runs; undefined where nobody waits for this process. */
export const progress: { onOp: (() => void) | undefined } = { onOp: undefined };
