"""Makes the site from the notebooks; run as `python -m tools`.

What only makes up for another project's behavior says so: `# Repairs PROJECT, until it ...`. It goes once that is so."""
from smalldocs.config import BuildError, ConfigError

ERRORS = (BuildError, ConfigError, OSError)  # what a build ends with: their messages say what is wrong and where
