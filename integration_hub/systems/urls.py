from django.urls import path

from integration_hub.systems import views

app_name = "systems"

urlpatterns = [
    path("", views.SystemsPage.as_view(), name="list"),
    path("add/", views.ChooseConnector.as_view(), name="add"),
    path("add/<str:kind>/", views.RegisterSystem.as_view(), name="register"),
    path("connected/", views.Connected.as_view(), name="connected"),
    path("<str:slug>/", views.SystemPage.as_view(), name="detail"),
    path("<str:slug>/change/", views.ChangeSystem.as_view(), name="change"),
    path("<str:slug>/check/", views.CheckSystem.as_view(), name="check"),
    path("<str:slug>/connect/", views.ConnectSystem.as_view(), name="connect"),
    path("<str:slug>/delete/", views.DeleteSystem.as_view(), name="delete"),
    path("<str:slug>/discover/", views.DiscoverSystem.as_view(), name="discover"),
    path("<str:slug>/entities/", views.EntitiesPage.as_view(), name="entities"),
    path("<str:slug>/maintenance/", views.StartMaintenance.as_view(), name="maintenance"),
    path("<str:slug>/maintenance/end/", views.EndMaintenance.as_view(), name="end_maintenance"),
    path("<str:slug>/entities/<str:name>/", views.EntityPage.as_view(), name="entity"),
    path("<str:slug>/entities/<str:name>/accept/", views.AcceptSchema.as_view(), name="accept"),
    path("<str:slug>/entities/<str:name>/sample/", views.SamplePart.as_view(), name="sample"),
]
