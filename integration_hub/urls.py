"""All addresses of the hub. Each app lists its own in its urls.py; the console lives under the admin site."""

from django.contrib import admin
from django.urls import path

urlpatterns = [
    path("", admin.site.urls),
]
