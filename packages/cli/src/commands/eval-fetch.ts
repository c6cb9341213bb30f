// `nsa eval fetch`: records of a task from the hub into the data folder.
import { fetchTask, findTask } from "@nsa/eval";

export async function fetchTaskData(name: string, options: { dataDir: string; hub: string }): Promise<void> {
  const { path, records } = await fetchTask(findTask(name), options);
  console.log(`${path}\t${records} records`);
}
