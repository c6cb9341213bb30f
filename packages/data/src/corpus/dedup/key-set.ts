// A growing set of 64-bit keys in typed arrays: a JavaScript Set stops at 2^24 entries.

export class KeySet {
  private slots = new BigUint64Array(1 << 12);
  private count = 0;
  private hasZero = false;

  /** Adds a key; false when it was there. */
  add(key: bigint): boolean {
    if (key === 0n) {
      const fresh = !this.hasZero;
      this.hasZero = true;
      return fresh;
    }
    if (2 * this.count >= this.slots.length) this.grow();
    const slot = this.slotOf(key);
    if (this.slots[slot] === key) return false;
    this.slots[slot] = key;
    this.count++;
    return true;
  }

  has(key: bigint): boolean {
    return key === 0n ? this.hasZero : this.slots[this.slotOf(key)] === key;
  }

  private slotOf(key: bigint): number {
    const mask = this.slots.length - 1;
    let s = Number(key & 0xffffffffn) & mask;
    while (this.slots[s] !== 0n && this.slots[s] !== key) s = (s + 1) & mask;
    return s;
  }

  private grow(): void {
    const old = this.slots;
    this.slots = new BigUint64Array(old.length * 2);
    for (const key of old) if (key !== 0n) this.slots[this.slotOf(key)] = key;
  }
}
