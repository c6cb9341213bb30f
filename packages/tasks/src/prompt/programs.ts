// Prompts that ask for programs: the question in the words that `configs/sft/formats.yaml` teaches, behind solved examples for models that
// were taught nothing.
import type { TaskDefinition } from "../tasks/definition.ts";
import { renderPrompt } from "./template.ts";

/** `pot`: one program, whose output is the answer. `tool`: programs whose outputs are read, then the answer. */
export type ProgramFormat = "pot" | "tool";

export const programTemplates: Readonly<Record<ProgramFormat, string>> = {
  pot: "Question: {question}\nSolve it by a Python program that prints the answer.\nAnswer:\n",
  tool: "Question: {question}\nSolve it step by step with Python.\nAnswer:\n",
};

type Shot = TaskDefinition["shots"][number];

/** A solved example: its program and, with `tool`, what it prints and the answer in words. */
function solved({ question, program, answer }: Shot, format: ProgramFormat): string {
  const code = `\`\`\`python\n${program}\n\`\`\`\n`;
  const rest =
    format === "tool" ? `\`\`\`output\n${answer}\n\`\`\`\nThe answer is \\boxed{${answer}}.\n` : "";
  return `${renderPrompt(programTemplates[format], question)}${code}${rest}\n`;
}

/** The prompt of a question behind the first `shots` of the task's examples that have a program. */
export function programPrompt(
  task: TaskDefinition,
  question: string,
  format: ProgramFormat,
  shots: number,
): string {
  const examples = task.shots.filter(({ program }) => program !== undefined).slice(0, shots);
  return (
    examples.map((shot) => solved(shot, format)).join("") + renderPrompt(programTemplates[format], question)
  );
}

/** What ends an answer behind solved examples: the next question. */
export const PROGRAM_STOP = "\nQuestion:";
