// What the command needs of whatever shows a stage.
import type { StageEvent } from "@nsa/core";

export interface View {
  onEvent(event: StageEvent): void;
  /** The user asked to stop. */
  stopping(): void;
  /** Gives the terminal back; called before anything else is printed. */
  close(): void;
}
