// Generated crawl pages for the quickstart and for tests.
export {
  type CrawlFiles,
  type CrawlOptions,
  type CrawlPage,
  generateCrawl,
  generatedBenchmark,
  writeCrawl,
} from "./crawl.ts";
export { mathParagraph, proseParagraph, wordProblem } from "./passages.ts";
export { type Choices, choices } from "./random.ts";
