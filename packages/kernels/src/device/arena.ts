// Memory apart for steps that are repeated: run plainly or replayed from a graph, they use it in turn and nothing else does.

export interface ArenaCalls {
  enter(): void;
  leave(): void;
  free(): void;
}

/** What a body allocates inside `use` must be freed by its end: the next step, or a replay, writes over it. */
export class Arena {
  constructor(private readonly calls: ArenaCalls) {}

  use<R>(body: () => R): R {
    this.calls.enter();
    try {
      return body();
    } finally {
      this.calls.leave();
    }
  }

  /** Gives the memory back; graphs recorded in it must be gone before. */
  free(): void {
    this.calls.free();
  }
}
