from django.urls import path
from django.views.generic import RedirectView

from integration_hub.accounts import views

app_name = "accounts"

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="accounts:profile"), name="settings"),
    path("profile/", views.ProfilePage.as_view(), name="profile"),
    path("password/", views.PasswordPage.as_view(), name="password"),
    path("tokens/", views.TokensPage.as_view(), name="tokens"),
    path("tokens/export.csv", views.TokenExport.as_view(), name="export_tokens"),
    path("tokens/add/", views.AddToken.as_view(), name="add_token"),
    path("tokens/<int:pk>/revoke/", views.RevokeToken.as_view(), name="revoke_token"),
    path("mails/send/", views.SendMails.as_view(), name="send_mails"),
    path("people/", views.PeoplePage.as_view(), name="people"),
    path("people/export.csv", views.PeopleExport.as_view(), name="export_people"),
    path("people/add/", views.AddPerson.as_view(), name="add_person"),
    path("people/<int:pk>/", views.ChangePerson.as_view(), name="person"),
]
