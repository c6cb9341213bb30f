// A thread that extracts pages: it sends one message when it is loaded; then each message to it is a page's HTML, and each answer
// what `extractPage` makes of it.
import { parentPort } from "node:worker_threads";
import { extractPage } from "./html.ts";

const port = parentPort!;
port.on("message", (html: string) => port.postMessage(extractPage(html)));
port.postMessage("loaded");
