// How a stage is shown: a screen on a terminal, else lines.
import type { StageEvent } from "@nsa/core";
import { printer } from "./plain.ts";

export interface View {
  onEvent(event: StageEvent): void;
  /** The user asked to stop. */
  stopping(): void;
  /** Gives the terminal back; called before anything else is printed. */
  close(): void;
}

export interface ViewOptions {
  plain?: boolean;
  json?: boolean;
}

/** Opens the view that the options and the terminal ask for. */
export async function openView(title: string, runDir: string, options: ViewOptions): Promise<View> {
  if (process.stdout.isTTY && !options.plain && !options.json) {
    // React's development build measures every render and keeps the marks for ever.
    process.env.NODE_ENV ??= "production";
    const { mountScreen } = await import("./mount.tsx");
    return mountScreen(title, runDir);
  }
  console.error(`${title}: ${runDir}`);
  return {
    onEvent: printer(options.json ? "json" : "plain"),
    stopping: () => console.error("saving after this step; press Ctrl-C again to end at once"),
    close: () => undefined,
  };
}
