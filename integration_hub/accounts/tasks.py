from celery import shared_task

from integration_hub.accounts import mail


@shared_task
def send_mail(mail_id: int) -> None:
    mail.send(mail_id)
