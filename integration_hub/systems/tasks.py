from celery import shared_task

from integration_hub.accounts.actor import Actor
from integration_hub.systems import health
from integration_hub.systems.models import System


@shared_task
def check_system(system_id: int) -> None:
    if system := System.objects.filter(pk=system_id).exclude(state=System.State.MAINTENANCE).first():
        health.check_system(system, by=Actor.schedule())


@shared_task
def tell_state(system_id: int) -> None:
    health.tell_state(system_id)
