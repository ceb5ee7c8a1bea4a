from django.urls import include, path

from integration_hub.syncs.views import changes, drift, pairs, plans, rejects, resolving, runs, story, sync_forms, syncs, together, trace, undo

_syncs = [
    path("", syncs.SyncList.as_view(), name="list"),
    path("export.csv", syncs.SyncExport.as_view(), name="export"),
    path("new/", sync_forms.NewSync.as_view(), name="new"),
    path("due/", sync_forms.DueTimes.as_view(), name="due"),
    path("pairs/<int:pk>/", pairs.PairPage.as_view(), name="pair"),
    path("pairs/<int:pk>/delete/", pairs.DeletePair.as_view(), name="delete_pair"),
    path("together/", together.TogetherPage.as_view(), name="together"),
    path("groups/run/", syncs.RunGroup.as_view(), name="group_run"),
    path("groups/pause/", syncs.PauseGroup.as_view(), name="group_pause"),
    path("groups/resume/", syncs.ResumeGroup.as_view(), name="group_resume"),
    path("<int:pk>/", syncs.SyncPage.as_view(), name="detail"),
    path("<int:pk>/edit/", sync_forms.EditSync.as_view(), name="edit"),
    path("<int:pk>/run/", syncs.RunNow.as_view(), name="run"),
    path("<int:pk>/records/", sync_forms.RunRecords.as_view(), name="records"),
    path("<int:pk>/trace/", trace.TracePage.as_view(), name="trace"),
    path("<int:pk>/story/", story.StoryPage.as_view(), name="story"),
    path("<int:pk>/story/now/", story.StoryNow.as_view(), name="story_now"),
    path("<int:pk>/drift/", drift.DriftPage.as_view(), name="drift"),
    path("<int:pk>/undo/", undo.UndoVersion.as_view(), name="undo"),
    path("<int:pk>/cursor/", sync_forms.CursorPage.as_view(), name="cursor"),
    path("<int:pk>/pause/", syncs.PauseSync.as_view(), name="pause"),
    path("<int:pk>/resume/", syncs.ResumeSync.as_view(), name="resume"),
    path("<int:pk>/take/", syncs.TakeSync.as_view(), name="take"),
    path("<int:pk>/delete/", syncs.DeleteSync.as_view(), name="delete"),
]
_runs = [
    path("", runs.RunList.as_view(), name="list"),
    path("export.csv", runs.RunExport.as_view(), name="export"),
    path("<int:number>/", runs.RunPage.as_view(), name="detail"),
    path("<int:number>/log/", runs.LogPage.as_view(), name="log"),
    path("<int:number>/changes.csv", changes.ChangeExport.as_view(), name="changes_export"),
    path("<int:number>/changes/", changes.ChangeList.as_view(), name="changes"),
    path("<int:number>/changes/<int:change_set>/<int:row>/", changes.ChangeDetail.as_view(), name="change"),
    path("<int:number>/plan/", plans.PlanPage.as_view(), name="plan"),
    path("<int:number>/plan/approve/", plans.ApprovePlan.as_view(), name="approve"),
    path("<int:number>/plan/apply/", plans.ApplyPlan.as_view(), name="apply"),
    path("<int:number>/undo/", undo.UndoRun.as_view(), name="undo"),
    path("<int:number>/cancel/", runs.CancelRun.as_view(), name="cancel"),
    path("<int:number>/pause/", runs.PauseRun.as_view(), name="pause"),
    path("<int:number>/resume/", runs.ResumeRun.as_view(), name="resume"),
]
_rejects = [
    path("", rejects.RejectList.as_view(), name="list"),
    path("export.csv", rejects.Export.as_view(), name="export"),
    path("export.xlsx", rejects.ExcelExport.as_view(), name="export_excel"),
    path("causes/<int:sync>/<slug:cause>/", rejects.CausePage.as_view(), name="cause"),
    path("<int:pk>/", rejects.RejectPage.as_view(), name="detail"),
    path("<int:pk>/mend/", resolving.MendPage.as_view(), name="mend"),
    path("<int:pk>/mend/forget/", resolving.ForgetMend.as_view(), name="forget_mend"),
    path("<int:pk>/link/", resolving.LinkPage.as_view(), name="link"),
    path("<int:pk>/value-map/", resolving.AddEntry.as_view(), name="value_map"),
    path("assign/", resolving.AssignPage.as_view(), name="assign"),
    path("replay/", rejects.Replay.as_view(), name="replay"),
    path("dismiss/", rejects.Dismiss.as_view(), name="dismiss"),
]

urlpatterns = [
    path("syncs/", include((_syncs, "syncs"))),
    path("runs/", include((_runs, "runs"))),
    path("rejects/", include((_rejects, "rejects"))),
]
