"""Sound devices."""
