// `nsa eval tasks` and `nsa eval fetch`: what can be measured, and its records from the hub.
import { counted } from "@nsa/core";
import { fetchTask, findTask, taskNames } from "@nsa/tasks";

export function listTasks(): void {
  for (const name of taskNames) {
    const { about, hub } = findTask(name);
    console.log(`${name}\t${about}${hub ? `\t${hub.repo}` : ""}`);
  }
}

export async function fetchTaskData(name: string, options: { dataDir: string; hub: string }): Promise<void> {
  const { path, records } = await fetchTask(findTask(name), options);
  console.log(`${path}\t${counted(records, "record")}`);
}
