"""How the tests run: the same way every time, however busy the machine is."""

from hypothesis import settings

settings.register_profile("everyframe", derandomize=True, deadline=None, database=None)
settings.load_profile("everyframe")
