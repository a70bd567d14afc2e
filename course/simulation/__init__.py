"""The simulator behind the cohort."""
