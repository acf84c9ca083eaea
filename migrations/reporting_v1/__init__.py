"""The first reporting schema, as migration 0071 makes it: never edited once it was released."""
