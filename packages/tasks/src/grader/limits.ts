// How reading and comparing answers stop early; both errors stay inside the grader.

/** What the parser cannot read; never leaves the grader. */
export class Unreadable extends Error {}

/** A work limit was met; never leaves the grader. */
export class TooMuchWork extends Error {}
