// Run as a process of its own by the corpus-scale bench: every n-th pool shard of a large crawl, and the seeds.
import { bigCrawl } from "./big-crawl.ts";

const [dir, bytes, first, every] = process.argv.slice(2) as [string, string, string, string];
bigCrawl(dir, Number(bytes), Number(first), Number(every));
