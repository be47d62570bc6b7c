"""What holds for all tests."""

from hypothesis import HealthCheck, settings

# a machine that does other things as well must not fail a test
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")
