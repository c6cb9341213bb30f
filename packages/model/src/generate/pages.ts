// The page table of the KV cache: which pages are free, and how many sequences hold each.

export class PagePool {
  private readonly freePages: number[];
  private readonly holders: Int32Array;

  constructor(readonly pages: number) {
    this.freePages = Array.from({ length: pages }, (_, i) => pages - 1 - i);
    this.holders = new Int32Array(pages);
  }

  get free(): number {
    return this.freePages.length;
  }

  /** One page held once. */
  take(): number {
    const page = this.freePages.pop();
    if (page === undefined) throw new Error("the KV cache has no free page");
    this.holders[page] = 1;
    return page;
  }

  /** One more sequence reads the page. */
  share(page: number): void {
    this.holders[page]!++;
  }

  release(page: number): void {
    if (--this.holders[page]! === 0) this.freePages.push(page);
  }
}
