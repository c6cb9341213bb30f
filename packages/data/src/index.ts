// Public surface of @nsa/data.
export {};
