"""The contract as OpenAPI 3.1, derived from the types that validate requests and from the named errors."""
