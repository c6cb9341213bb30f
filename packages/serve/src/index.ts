// Public surface of @nsa/serve.
export { OutputText } from "./output-text.ts";
export { Scheduler } from "./scheduler.ts";
export { makeServer } from "./server.ts";
export { openServingSession, type ServingSession } from "./session.ts";
