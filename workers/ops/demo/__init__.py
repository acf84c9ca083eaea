"""The host's side of `vmclone demo`: a source VM with real files, and a look at its clones."""
