"""The resource declarations, one file a family: reading this folder is reading the API."""
