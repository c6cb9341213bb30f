// Puts the rollout page on a terminal until the person ends it.
import { type LabelFile, verdictsOf } from "@nsa/rl";
import { render, useInput, useStdout } from "ink";
import { useRef, useState } from "react";
import { RolloutPage } from "./page.tsx";
import { type BrowserState, type Key, type LabelRequest, type LoadStep, press } from "./state.ts";

const LETTERS = new Set(["[", "]", "r", "w", "p", "q"]);

export interface BrowserProps {
  first: BrowserState;
  load: LoadStep;
  labels: LabelFile;
  onDone: () => void;
}

function write(labels: LabelFile, request: LabelRequest): void {
  if (request.kind === "verdict") labels.verdict(request.group, request.output, request.verdict);
  else labels.prefer(request.group, request.better, request.worse);
}

/** The page with its keys. A label is on disk before the next picture. */
export function Browser({ first, load, labels, onDone }: BrowserProps) {
  const [state, setState] = useState(first);
  // Keys may come faster than pictures: each acts on what the one before it left, or a label would go to another output.
  const current = useRef(first);
  const [verdicts, setVerdicts] = useState(() => verdictsOf(labels.read()));
  const { stdout } = useStdout();
  useInput((input, key) => {
    const arrow = (["left", "right", "up", "down"] as const).find((name) => key[`${name}Arrow`]);
    const name =
      arrow ?? (key.escape || (key.ctrl && input === "c") ? "escape" : LETTERS.has(input) && input);
    if (!name) return;
    const pressed = press(current.current, name as Key, load);
    if (pressed.label) {
      write(labels, pressed.label);
      setVerdicts(verdictsOf(labels.read()));
    }
    current.current = pressed.state;
    setState(pressed.state);
    if (pressed.state.done) onDone();
  });
  return (
    <RolloutPage
      state={state}
      verdicts={verdicts}
      width={Math.max(40, stdout.columns ?? 80)}
      height={stdout.rows ?? 30}
    />
  );
}

/** Resolves when the person ends it. */
export async function browse(props: Omit<BrowserProps, "onDone">): Promise<void> {
  const ink = render(<Browser {...props} onDone={() => ink.unmount()} />, { exitOnCtrlC: false });
  await ink.waitUntilExit();
}
