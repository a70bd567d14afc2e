"""From a submission to verdicts, gradebook and feedback."""
