"""Makes the site from the notebooks; run as `python -m tools`."""
from smalldocs.config import BuildError, ConfigError

ERRORS = (BuildError, ConfigError, OSError)  # what a build ends with: their messages say what is wrong and where
