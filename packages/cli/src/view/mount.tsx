// Puts the screen on a terminal and keeps it moving while the trainer process computes.
import { render } from "ink";
import { Screen } from "./screen.tsx";
import { initialState, reduce, type Shown } from "./state.ts";
import type { View } from "./view-type.ts";

const TICK_MS = 120;

const clock = () => performance.now() / 1000;

/** Draws at most once per tick, however fast events come; `close` leaves the last picture standing. */
export function mountScreen(title: string, runDir: string, shown: Shown): View {
  let state = initialState(title, runDir, clock(), shown);
  const width = () => Math.max(40, Math.min(140, process.stdout.columns ?? 80));
  const height = () => process.stdout.rows ?? 40;
  const picture = () => <Screen state={state} time={clock()} width={width()} height={height()} />;
  // Ctrl-C is the command's: it asks the trainer to save first.
  const ink = render(picture(), { exitOnCtrlC: false, patchConsole: true });
  const timer = setInterval(() => ink.rerender(picture()), TICK_MS);
  return {
    onEvent: (event) => {
      state = reduce(state, event, clock());
    },
    stopping: () => {
      state = { ...state, phase: "stopping" };
    },
    close: () => {
      clearInterval(timer);
      ink.rerender(picture());
      ink.unmount();
    },
  };
}
