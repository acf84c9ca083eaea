"""`vmclone doctor`: what an installation needs, and what belongs to nobody."""
