from celery import shared_task


@shared_task
def carry_partition(partition_id: int) -> None:
    from integration_hub.syncs import carrying

    carrying.carry_partition(partition_id)


@shared_task
def advance_run(run_id: int) -> None:
    from integration_hub.syncs import stages

    stages.advance(run_id)
