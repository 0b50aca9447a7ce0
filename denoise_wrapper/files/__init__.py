"""Audio files: read and written block by block, many at once."""
