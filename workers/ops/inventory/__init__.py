"""The inventory document: composed, read into checked values, written through app.store."""
