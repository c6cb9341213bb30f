// Conversations: templates, and tokens with loss on the assistant's turns.
export { encodeSegments, type Segment, segmentsOf } from "./segments.ts";
export {
  type ChatMessage,
  type ChatTemplate,
  chatTemplateNames,
  findTemplate,
  folderTemplate,
  jinjaTemplate,
} from "./template.ts";
