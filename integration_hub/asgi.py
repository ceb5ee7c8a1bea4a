from integration_hub.entry import plain_refusal, require_storage

with plain_refusal():
    from django.core.asgi import get_asgi_application

    application = get_asgi_application()
    require_storage()
