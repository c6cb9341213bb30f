// Public surface of @nsa/kernels.
export {};
