"""Pictures for the documentation, made of what really runs."""
