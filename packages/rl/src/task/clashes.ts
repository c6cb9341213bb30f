// Preferences that a file states twice, or both ways round: people and models that label do both.

/** A prompt with the better and with the worse output, as text or ids. */
export interface Preference {
  better: string;
  worse: string;
  place: string;
}

/** A line for people on each kind that there is. Neither kind is left out: how often a preference is stated may be what is to be learned. */
export function clashesOf(preferences: Iterable<Preference>): string[] {
  const seen = new Set<string>();
  const kinds = {
    repeated: { count: 0, first: "", what: "an earlier one again" },
    contradictory: { count: 0, first: "", what: "the opposite of an earlier one" },
  };
  for (const { better, worse, place } of preferences) {
    const [own, opposite] = [JSON.stringify([better, worse]), JSON.stringify([worse, better])];
    for (const [kind, key] of [
      ["repeated", own],
      ["contradictory", opposite],
    ] as const)
      if (seen.has(key) && kinds[kind].count++ === 0) kinds[kind].first = place;
    seen.add(own);
  }
  return Object.values(kinds).flatMap(({ count, first, what }) =>
    count > 0
      ? [
          `${count} ${count === 1 ? "preference states" : "preferences state"} ${what} (first at ${first}); all are learned from`,
        ]
      : [],
  );
}
