// fastText classifiers: training, `.bin` files, and scoring by the collapsed table.
export { argsOf, type FastTextArgs, FastTextConfig } from "./args.ts";
export { type CollapsedModel, CollapsedScorer, collapse, collapseFile, type Prediction } from "./collapse.ts";
export { Dictionary, LABEL_PREFIX } from "./dictionary.ts";
export { type Engine, type LineScorer, openScorer, resolveEngine, trainToFile } from "./engine.ts";
export { type FastTextModel, readHeader, readModel, writeModel } from "./model.ts";
export { type TrainProgress, trainFastText } from "./train.ts";
