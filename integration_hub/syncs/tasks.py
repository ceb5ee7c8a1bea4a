from celery import shared_task


@shared_task
def carry_partition(partition_id: int, sending: int = 0) -> None:  # a message of an older release has no number, and is sent again
    from integration_hub.syncs import carrying

    carrying.carry_partition(partition_id, sending)


@shared_task
def advance_run(run_id: int) -> None:
    from integration_hub.syncs import stages

    stages.advance(run_id)
