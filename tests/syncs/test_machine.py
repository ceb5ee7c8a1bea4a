"""A sync under everything that may happen to it, in any order: changes of the source, of the mapping, of its limits, plans, undos, and workers that die.
At rest the target is the mapped source, less what was rejected and as it was where somebody has refused a change; every run's books balance; and undoing
all gives the first state."""

import tempfile
from contextlib import contextmanager
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, settings
from hypothesis import strategies as some
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from integration_hub.approvals import services as approvals
from integration_hub.approvals.models import Decision
from integration_hub.core import texts
from integration_hub.mappings.models import MappingVersion
from integration_hub.syncs import carrying, plans, record, services, stages, undo, write
from integration_hub.syncs.models import Link, OpenRow, Partition, Run
from integration_hub.syncs.services import NotPossible
from tests.syncs.conftest import finish
from tests.syncs.linked import Company

pytestmark = pytest.mark.django_db(transaction=True)

IDS = some.integers(1, 8)
NAMES = some.sampled_from(["Ada", "Bela", "Cleo", "Dora", "a name too long for the target"])
LONGEST = 10
POINTS = ((write, "write", False), (write, "write", True), (record, "commit", False), (record, "commit", True))
VERSIONS = ([], [{"transform": "upper"}])
numbers = count(1)


class Dies(SystemExit):
    """The worker ends here."""


@contextmanager
def dying(module, step, *, after):
    """The worker that comes to this step dies before or after it."""
    original = getattr(module, step)

    def dies(*args, **kwargs):
        if after:
            original(*args, **kwargs)
        raise Dies

    setattr(module, step, dies)
    try:
        yield
    finally:
        setattr(module, step, original)


class Machine(RuleBasedStateMachine):
    by: object
    folder: Path

    @initialize()
    def begin(self):
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        number = next(numbers)
        self.company = Company(folder, self.by, suffix=f" {number}")
        self.sync = self.company.sync("accounts", "customers", name=f"Accounts {number}", max_length=LONGEST)
        self.sync = services.change_sync(self.sync, by=self.by, deletes="delete", most_deletes_percent=None)
        self.source, self.version, self.began = {}, 0, timezone.now()

    # --- what happens ---

    @rule(id=IDS, name=NAMES)
    def put(self, id, name):
        self.company.run("CRM", "INSERT OR REPLACE INTO accounts VALUES (?, ?)", (id, name))
        self.source[id] = name

    @precondition(lambda self: self.source)
    @rule(data=some.data())
    def remove(self, data):
        self.delete(data.draw(some.sampled_from(sorted(self.source))))

    def delete(self, id):
        self.company.run("CRM", "DELETE FROM accounts WHERE id = ?", (id,))
        del self.source[id]

    @rule(version=some.sampled_from([0, 1]))
    def publish(self, version):
        """The mapping is another from now on."""
        if version == self.version:
            return
        self.version = version
        newest = self.sync.mapping.latest
        fields = [dict(field) for field in newest.definition["fields"]]
        fields[1]["steps"] = VERSIONS[version]
        MappingVersion.objects.create(
            mapping=self.sync.mapping,
            number=newest.number + 1,
            definition={**newest.definition, "fields": fields},
            source_schema=newest.source_schema,
            target_schema=newest.target_schema,
        )
        self.sync = services.Sync.objects.get(pk=self.sync.pk)

    @rule(most=some.sampled_from([None, 0, 1, 3]), first=some.booleans())
    def limit(self, most, first):
        self.sync = services.change_sync(self.sync, by=self.by, most_deletes=most, most_updates=most, compare_first=first)

    @rule(full=some.booleans())
    def run_it(self, full):
        finish(services.start_run(self.sync, by=self.by, full=full))

    @rule(point=some.sampled_from(POINTS))
    def run_it_with_a_worker_that_dies(self, point, cancelled=False):
        module, step, after = point
        run = services.start_run(self.sync, by=self.by)
        with dying(module, step, after=after):
            for _turn in range(3):
                try:
                    for partition in Partition.objects.filter(run=run):
                        carrying.carry_partition(partition.pk)
                    stages.advance(run.pk)
                except Dies:
                    break
        run.refresh_from_db()
        if cancelled and run.is_live:
            services.cancel_run(run, by=self.by)
        finish(run)

    @rule(point=some.sampled_from(POINTS))
    def cancel_one_whose_worker_has_died(self, point):
        self.run_it_with_a_worker_that_dies(point, cancelled=True)

    @rule(change=IDS, name=NAMES)
    def plan_and_apply(self, change, name):
        """A plan, one record that may change behind its back, and its application."""
        plan = finish(services.start_run(self.sync, by=self.by, dry=True))
        if change in self.source:
            self.put(change, name)
        if plans.is_plan(plan):
            finish(plans.apply_plan(plans.approve_plan(plan, by=self.by, reason="Looked at"), by=self.by))

    @precondition(lambda self: Decision.objects.open().about(self.sync).exists())
    @rule()
    def accept(self):
        approvals.decide(Decision.objects.open().about(self.sync).first(), "accept", by=self.by, reason="Looked at")
        self.come_to_an_end()

    @precondition(lambda self: Decision.objects.open().about(self.sync).exists())
    @rule()
    def refuse(self):
        approvals.decide(Decision.objects.open().about(self.sync).first(), "refuse", by=self.by, reason="Not these")

    @rule()
    def undo_the_last(self):
        last = next((run for run in Run.objects.filter(sync=self.sync).order_by("-pk") if undo.may_undo(run)), None)
        if last is not None:
            self.undone(undo.plan_undo(last, by=self.by))

    # --- what holds ---

    @invariant()
    def books_balance(self):
        if hasattr(self, "sync"):
            assert not Run.objects.filter(sync=self.sync, balanced=False).exists()

    def teardown(self):
        if not hasattr(self, "sync"):
            return
        self.come_to_rest()
        self.assert_target_is_the_source(but=self.refused())
        self.write_what_was_refused()
        self.assert_target_is_the_source()
        self.undo_everything()
        assert self.target() == {"old": "Old"}

    def come_to_an_end(self):
        for run in Run.objects.filter(sync=self.sync, ended_at=None):
            finish(run)

    def come_to_rest(self):
        self.sync = services.change_sync(self.sync, by=self.by, most_deletes=None, most_updates=None, compare_first=False)
        for _turn in range(3):
            finish(services.start_run(self.sync, by=self.by, full=True))
            services.replay_rejects(OpenRow.objects.filter(sync=self.sync).exclude(state="rejected"), by=self.by)
            self.come_to_an_end()
            for decision in Decision.objects.open().about(self.sync):
                approvals.decide(decision, "accept", by=self.by, reason="All of it")
                self.come_to_an_end()

    def refused(self):
        """Keys of records of which somebody has refused a change that a run would make still."""
        rows = OpenRow.objects.filter(sync=self.sync, state="withheld", closed_as="dismissed").exclude(source_print=b"")
        return set(rows.values_list("key", flat=True))

    def write_what_was_refused(self):
        plan = finish(services.start_run(self.sync, by=self.by, dry=True, full=True))
        assert plans.is_plan(plan) or not self.refused()
        if plans.is_plan(plan):
            finish(plans.apply_plan(plans.approve_plan(plan, by=self.by, reason="After all"), by=self.by))

    def target(self):
        return dict(self.company.run("ERP", "SELECT crm_id, name FROM customers"))

    def keys_in_the_target(self):
        return dict(self.company.run("ERP", "SELECT crm_id, no FROM customers"))

    def assert_target_is_the_source(self, *, but=frozenset()):
        rejected = {str(id) for id, name in self.source.items() if len(name) > LONGEST}
        assert {row.key for row in OpenRow.objects.open().filter(sync=self.sync)} == rejected, [
            texts.render(row.reason) for row in OpenRow.objects.open().filter(sync=self.sync)
        ]
        mapped = {str(id): name.upper() if self.version else name for id, name in self.source.items()}
        there = self.target()
        assert {key: name for key, name in there.items() if key not in rejected | but} == {
            "old": "Old",
            **{key: name for key, name in mapped.items() if key not in rejected | but},
        }
        assert all(there.get(key) != mapped.get(key) for key in but - rejected), "what was refused is done"
        assert set(there) - {"old"} == set(Link.objects.live(self.sync.pair_id).values_list("a_key", flat=True))
        assert len(there) == self.company.run("ERP", "SELECT count(*) FROM customers")[0][0], "there are twins"

    def undone(self, plan):
        finish(plan)
        if plans.is_plan(plan):
            finish(plans.apply_plan(plans.approve_plan(plan, by=self.by, reason="Undo"), by=self.by))

    def undo_everything(self):
        for number in self.sync.mapping.versions.order_by("-number").values_list("number", flat=True):
            try:
                self.undo_version(number)
            except NotPossible:  # it has written nothing
                continue

    def undo_version(self, number):
        version = self.sync.mapping.versions.get(number=number)
        self.undone(undo.plan_undo_of_version(self.sync, version, since=self.began - timedelta(minutes=1), by=self.by))


def machine(tmp_path, by, settings_of_django):
    settings_of_django.ALLOWED_FOLDERS = [tmp_path.resolve()]
    return type("OfThisTest", (Machine,), {"by": by, "folder": tmp_path.resolve()})


UNHURRIED = {"deadline": None, "suppress_health_check": list(HealthCheck)}


def test_a_sync_under_everything_that_may_happen(tmp_path, by, settings):
    run_state_machine_as_test(machine(tmp_path, by, settings), settings=short)


@pytest.mark.faults
@pytest.mark.timeout(7200)
def test_a_sync_under_everything_that_may_happen_at_length(tmp_path, by, settings):
    run_state_machine_as_test(machine(tmp_path, by, settings), settings=long)


# What it has found, step by step.


@pytest.fixture
def sync_under_test(tmp_path, by, settings):
    begun = machine(tmp_path, by, settings)()
    begun.begin()
    return begun


def test_a_reject_whose_record_is_deleted_in_the_source(sync_under_test):
    sync_under_test.put(1, "a name too long for the target")
    sync_under_test.run_it(full=False)
    sync_under_test.delete(1)

    sync_under_test.teardown()


def test_a_record_that_two_runs_have_created_and_a_later_version_has_deleted(sync_under_test):
    sync_under_test.publish(1)
    sync_under_test.put(7, "Dora")
    sync_under_test.run_it(full=True)
    sync_under_test.undo_the_last()
    sync_under_test.run_it_with_a_worker_that_dies((write, "write", False))
    sync_under_test.publish(0)
    sync_under_test.put(3, "Ada")
    sync_under_test.publish(1)
    sync_under_test.delete(7)

    sync_under_test.teardown()


def test_a_record_whose_key_the_target_has_given_to_another_since(sync_under_test):
    sync_under_test.put(3, "Ada")
    sync_under_test.put(5, "Bela")
    sync_under_test.run_it(full=True)
    sync_under_test.publish(1)
    sync_under_test.delete(5)
    sync_under_test.run_it(full=True)
    sync_under_test.put(8, "Cleo")
    sync_under_test.run_it(full=True)
    assert sync_under_test.keys_in_the_target() == {"old": 700, "3": 701, "8": 702}

    sync_under_test.undo_version(2)

    assert sync_under_test.target() == {"old": "Old", "3": "Ada", "5": "Bela"}
    links = dict(Link.objects.live(sync_under_test.sync.pair_id).values_list("a_key", "b_key"))
    assert {"old": 700, **{key: int(no) for key, no in links.items()}} == sync_under_test.keys_in_the_target()
    sync_under_test.undo_version(1)
    assert sync_under_test.target() == {"old": "Old"}


def test_what_a_cancelled_run_had_on_its_way_is_undone_too(sync_under_test):
    sync_under_test.put(1, "Ada")
    sync_under_test.cancel_one_whose_worker_has_died((write, "write", True))
    assert "1" in sync_under_test.target()

    sync_under_test.teardown()


def test_a_source_that_was_emptied_while_one_of_its_records_waited(sync_under_test):
    begun = sync_under_test
    begun.put(7, "Cleo")
    begun.run_it(full=False)
    begun.put(1, "Ada")
    begun.cancel_one_whose_worker_has_died((write, "write", True))
    begun.publish(1)
    begun.plan_and_apply(6, "Bela")
    begun.delete(7)
    begun.delete(1)

    begun.come_to_rest()

    begun.assert_target_is_the_source()


short = settings(max_examples=8, stateful_step_count=10, **UNHURRIED)
long = settings(max_examples=300, stateful_step_count=30, **UNHURRIED)
