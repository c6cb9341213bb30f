// Public surface of @nsa/eval.
export {};
