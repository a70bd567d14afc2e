"""From a lesson and the reference implementation to notebooks, and the audit of the tests."""
