"""Settings of the whole test run."""

from hypothesis import settings

# No deadline: the machines that run the tests are shared, and time is not what a test checks.
# Derandomised: a failure on one machine is the same failure on every other.
settings.register_profile("zoo", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("zoo")
