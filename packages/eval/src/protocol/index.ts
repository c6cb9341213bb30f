// Answers with programs in them.
export { codeBlocks, lastLine } from "./code-blocks.ts";
export {
  type ProtocolOptions,
  runProtocol,
  type Transcript,
  type TurnOutput,
  type TurnRequest,
} from "./run.ts";
