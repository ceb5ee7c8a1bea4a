import logging

from integration_hub.core.registry import sweeps

log = logging.getLogger(__name__)


def sweep() -> None:
    """Run every registered sweep; one that fails is logged and does not stop the others, for it comes again in five seconds."""
    for name, run in sweeps.items():
        try:
            run()
        except Exception:  # a sweep of one app must not stop another's; nothing is lost, it runs again
            log.exception("sweep failed", extra={"sweep": name})
