"""The sweep: starts what is due and sends again what lost its worker. What there is to sweep, the apps say in `core.registry.sweeps`."""

from celery import shared_task


@shared_task
def sweep() -> None:
    from integration_hub.core import services

    services.sweep()


@shared_task
def tell(message_id: int) -> None:
    from integration_hub.core import outbox

    outbox.tell(message_id)
