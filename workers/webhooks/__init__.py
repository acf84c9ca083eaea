"""Callbacks to those who sent X-Web-Hook: a process of its own on every control worker, so that
an endpoint that hangs holds up no job."""
