from django.urls import path

from integration_hub.systems.views import entities, settings, systems

app_name = "systems"

urlpatterns = [
    path("", systems.SystemsPage.as_view(), name="list"),
    path("export.csv", systems.SystemExport.as_view(), name="export"),
    path("add/", settings.ChooseConnector.as_view(), name="add"),
    path("add/<str:kind>/", settings.RegisterSystem.as_view(), name="register"),
    path("connected/", settings.Connected.as_view(), name="connected"),
    path("<str:slug>/", systems.SystemPage.as_view(), name="detail"),
    path("<str:slug>/change/", settings.ChangeSystem.as_view(), name="change"),
    path("<str:slug>/check/", systems.CheckSystem.as_view(), name="check"),
    path("<str:slug>/connect/", settings.ConnectSystem.as_view(), name="connect"),
    path("<str:slug>/delete/", systems.DeleteSystem.as_view(), name="delete"),
    path("<str:slug>/take/", systems.TakeSystem.as_view(), name="take"),
    path("<str:slug>/discover/", entities.DiscoverSystem.as_view(), name="discover"),
    path("<str:slug>/entities/", entities.EntitiesPage.as_view(), name="entities"),
    path("<str:slug>/maintenance/", systems.StartMaintenance.as_view(), name="maintenance"),
    path("<str:slug>/maintenance/end/", systems.EndMaintenance.as_view(), name="end_maintenance"),
    path("<str:slug>/entities/<str:name>/", entities.EntityPage.as_view(), name="entity"),
    path("<str:slug>/entities/<str:name>/accept/", entities.AcceptSchema.as_view(), name="accept"),
    path("<str:slug>/entities/<str:name>/sample/", entities.SamplePart.as_view(), name="sample"),
]
