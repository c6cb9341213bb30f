// Counts in texts for people: "1 pair", "2 pairs".

/** `noun` behind its count; `many` where its plural is not made by an s. */
export const counted = (count: number, noun: string, many = `${noun}s`): string =>
  `${count} ${count === 1 ? noun : many}`;
