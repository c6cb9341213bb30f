// How a stage is shown: a screen on a terminal, else lines.
import { printer } from "./plain.ts";
import type { Shown } from "./state.ts";
import type { View } from "./view-type.ts";

export interface ViewOptions {
  plain?: boolean;
  json?: boolean;
}

/** Opens the view that the options and the terminal ask for. */
export async function openView(
  title: string,
  runDir: string,
  options: ViewOptions,
  shown: Shown,
): Promise<View> {
  if (process.stdout.isTTY && !options.plain && !options.json) {
    // React's development build measures every render and keeps the marks for ever.
    process.env.NODE_ENV ??= "production";
    const { mountScreen } = await import("./mount.tsx");
    return mountScreen(title, runDir, shown);
  }
  console.error(`${title}: ${runDir}`);
  return {
    onEvent: printer(options.json ? "json" : "plain"),
    stopping: () => console.error("saving after this step; press Ctrl-C again to end at once"),
    close: () => undefined,
  };
}
