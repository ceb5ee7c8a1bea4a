from django.urls import path

from integration_hub.mappings import lists, publishing, views

app_name = "mappings"

urlpatterns = [
    path("", lists.MappingsPage.as_view(), name="list"),
    path("export.csv", lists.MappingExport.as_view(), name="export"),
    path("add/", views.AddMapping.as_view(), name="add"),
    path("<int:pk>/", views.EditorPage.as_view(), name="detail"),
    path("<int:pk>/preview/", views.PreviewPart.as_view(), name="preview"),
    path("<int:pk>/delete/", views.DeleteMapping.as_view(), name="delete"),
    path("<int:pk>/publish/", publishing.PublishPage.as_view(), name="publish"),
    path("<int:pk>/versions/", publishing.VersionsPage.as_view(), name="versions"),
    path("<int:pk>/versions/<int:number>/", publishing.VersionPage.as_view(), name="version"),
    path("<int:pk>/versions/<int:number>/take-over/", publishing.TakeOver.as_view(), name="take_over"),
]
