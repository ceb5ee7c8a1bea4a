from django.urls import path

from integration_hub.approvals import views

app_name = "decisions"

urlpatterns = [
    path("", views.DecisionList.as_view(), name="list"),
    path("export.csv", views.DecisionExport.as_view(), name="export"),
    path("<int:pk>/", views.DecisionPage.as_view(), name="detail"),
    path("<int:pk>/answer/", views.AnswerDecision.as_view(), name="answer"),
]
