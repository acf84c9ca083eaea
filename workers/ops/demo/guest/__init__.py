"""The tiny guest: a real machine that boots from its own disk in seconds."""
