// Scopes own the tensors made while they are innermost and free them at their end.
import type { Device } from "./device.ts";
import type { Tensor } from "./tensor.ts";

export class Scope implements Disposable {
  private owned = new Map<number, Tensor>();

  constructor(
    private readonly device: Device,
    private readonly parent: Scope | undefined,
  ) {}

  own(t: Tensor): void {
    this.owned.set(t.handle, t);
  }

  /** Hands the tensor to the enclosing scope (or to the caller, who then frees it). */
  keep<T extends Tensor>(t: T): T {
    if (this.owned.delete(t.handle)) this.parent?.own(t);
    return t;
  }

  /** Takes the tensor out of all scopes: it lives until freed by hand. */
  detach<T extends Tensor>(t: T): T {
    this.owned.delete(t.handle);
    return t;
  }

  /** Takes out everything owned so far, views before what they look into: the order to free it in. */
  detachAll(): Tensor[] {
    const all = [...this.owned.values()].reverse();
    this.owned.clear();
    return all;
  }

  /** Frees everything owned so far, now. */
  [Symbol.dispose](): void {
    this.device.endScope(this);
    // Views are younger than their owner and go first: a view left behind would keep its handle.
    for (const t of [...this.owned.values()].reverse()) if (t.isLive) t.free();
    this.owned.clear();
  }
}
