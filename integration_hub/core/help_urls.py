from django.urls import path

from integration_hub.core import help, tour

app_name = "help"

urlpatterns = [
    path("", help.HelpPage.as_view(), name="index"),
    path("tour/", tour.PutAwayTour.as_view(), name="tour"),
    path("<slug:slug>/", help.TopicPage.as_view(), name="topic"),
]
