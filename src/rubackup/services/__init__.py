"""Use cases, one module a family; transactions begin and end here."""
