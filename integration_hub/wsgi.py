from integration_hub.entry import plain_refusal, require_storage

with plain_refusal(code=3):  # gunicorn does not try again after 3
    from django.core.wsgi import get_wsgi_application

    application = get_wsgi_application()
    require_storage()
