"""`python -m consumers`."""

from consumers.main import run
from mailcore import modes
from mailcore.log import configure
from mailcore.settings import load_settings

if __name__ == "__main__":
    settings = load_settings().with_nats_url()
    configure(settings, "consumer")
    modes.keep_private(settings)
    run(settings)
