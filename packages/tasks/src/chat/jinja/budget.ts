// The work of rendering a template, counted: templates come from other people's model folders, and loops in loops may never end.
// Every node that is evaluated counts, and its text by length, so that the same template and messages end in the same way on any
// machine.

/** Nodes for one rendering; Llama 3's template needs about a hundred for a message. */
const MAX_NODES = 1_000_000;
/** Characters of a text that count as another node: texts that grow make single nodes dear. */
const STEP_CHARACTERS = 256;

let left = Number.POSITIVE_INFINITY;

/** Counts steps of work. Throws an Error where the budget of the rendering is spent. */
export function spend(steps: number): void {
  left -= steps;
  if (left < 0) throw new Error(`it takes more than ${MAX_NODES} steps`);
}

/** Counts the characters of a text that is made or gone through. */
export function spendText(characters: number): void {
  spend(Math.floor(characters / STEP_CHARACTERS));
}

/** Renders within the budget. Throws an Error where it is spent, and what rendering throws. */
export function withinBudget(render: () => string): string {
  left = MAX_NODES;
  try {
    return render();
  } finally {
    left = Number.POSITIVE_INFINITY;
  }
}
