// Public surface of @nsa/rl.
export {};
