// Public surface of @nsa/model.
export {};
