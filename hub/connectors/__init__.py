"""In from the outside world: one connector per kind of agency, each only translating its words into ours."""
