"""For all unit tests."""

from tests.examples import look_for_examples

look_for_examples()
