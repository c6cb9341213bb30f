// Scopes own the tensors made while they are innermost and free them at their end.

/** What a scope needs of a tensor. */
export interface Owned {
  readonly handle: number;
  readonly isLive: boolean;
  free(): void;
}

export class Scope implements Disposable {
  private owned = new Map<number, Owned>();

  constructor(
    /** Called first when the scope ends. */
    private readonly end: (scope: Scope) => void,
    private readonly parent: Scope | undefined,
  ) {}

  own(t: Owned): void {
    this.owned.set(t.handle, t);
  }

  /** Hands the tensor to the enclosing scope (or to the caller, who then frees it). */
  keep<T extends Owned>(t: T): T {
    if (this.owned.delete(t.handle)) this.parent?.own(t);
    return t;
  }

  /** Takes the tensor out of all scopes: it lives until freed by hand. */
  detach<T extends Owned>(t: T): T {
    this.owned.delete(t.handle);
    return t;
  }

  /** Takes out everything owned so far, views before what they look into: the order to free it in. */
  detachAll(): Owned[] {
    const all = [...this.owned.values()].reverse();
    this.owned.clear();
    return all;
  }

  /** Frees everything owned so far, now. */
  [Symbol.dispose](): void {
    this.end(this);
    // Views are younger than their owner and go first: a view left behind would keep its handle.
    for (const t of [...this.owned.values()].reverse()) if (t.isLive) t.free();
    this.owned.clear();
  }
}
