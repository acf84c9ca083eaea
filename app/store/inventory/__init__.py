"""The declared inventory in the database: its values, what is there, and how it is changed."""
