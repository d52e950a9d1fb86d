"""The REST kernel: resource declarations, routes, auth, envelope, filters, OpenAPI. No business words."""
